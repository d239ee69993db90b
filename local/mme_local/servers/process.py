"""One model server's processes, as their owner sees them: start, sockets, log, end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mme_local.servers import launch as launcher
from mme_local.servers.base import ServerError

_LAUNCHER = Path(launcher.__file__)
_LAUNCH_TIMEOUT = 20.0
_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL. SageMaker gives 30; nothing here needs longer to save, and people wait."""

PORT = 8080
"""SageMaker's port of a container: on this machine only in networks of their own."""

_LONGEST_SCRATCH = 103 - len("/.mms.sock.65535")
"""A unix socket's path may have 107 bytes on Linux, 103 on macOS, whose own folder for temporary files takes 49."""


class LaunchRefused(ServerError):
    """The launcher could not set up what was asked of it, say a private network."""


@dataclass(frozen=True)
class Launch:
    """How to run a server."""

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    socket: Path | None
    """The unix socket on which it will listen; None when that is a port."""
    remove: Sequence[str] = field(default_factory=tuple)
    """Paths and globs that are deleted when the server has ended, also when the owner was killed."""
    address: tuple[str, int] | None = None
    """The IP address and port on which it will listen; without them that is ``PORT``, in a network of its own."""
    afterwards: Sequence[Sequence[str]] = field(default_factory=tuple)
    """Commands that remove what a daemon made for the server, run when it has ended, until they succeed."""
    made: Path | None = None
    """A file that has content as soon as the daemon has made it all."""

    @property
    def private_network(self) -> bool:
        """Whether the server gets a network of its own."""
        return self.socket is None and self.address is None


_running: set[ServerProcess] = set()


class ServerProcess:
    """A running server under its launcher (see ``launch.py``). All methods block; none for long but ``end``."""

    def __init__(self, launch: Launch, log: Path) -> None:
        settings = {
            "command": list(launch.command),
            "remove": list(launch.remove),
            "private_network": launch.private_network,
            "grace": _GRACE,
            "afterwards": [list(command) for command in launch.afterwards],
            "made": None if launch.made is None else str(launch.made),
        }
        self._launch = launch
        ours, theirs = socket.socketpair()
        self._lifeline = ours
        try:
            with theirs, log.open("ab") as output:
                self._launcher: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - our own launcher
                    [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(settings)],
                    stdin=theirs.fileno(),
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=launch.directory,
                    env=dict(launch.environment),
                    start_new_session=True,  # Ctrl-C at our terminal is ours to handle
                )
            _running.add(self)
            ours.settimeout(_LAUNCH_TIMEOUT)
            with ours.makefile("rb") as answers:
                answer = answers.readline().decode()
        except OSError as error:
            ours.close()
            for path in launch.remove:
                shutil.rmtree(path, ignore_errors=True)
            raise ServerError(f"could not start {launch.command[0]}: {error}") from error
        if not answer.startswith("+"):
            self.end()
            raise LaunchRefused(answer.strip("-\n") or f"the launcher failed:\n{log_excerpt(log)}")
        self._group = int(answer)

    def exit_status(self) -> int | None:
        """The server's exit status, or None while it runs."""
        return self._launcher.poll()

    def children(self) -> list[psutil.Process]:
        """The server's processes, whatever started them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._launcher.pid).children(recursive=True)
        return []

    def open_socket(self, _address: Any = None) -> socket.socket:
        """A socket that reaches the server, not connected yet: the ``socket_factory`` of aiohttp's connector."""
        if not self._launch.private_network:
            return socket.socket(socket.AF_UNIX if self._launch.address is None else socket.AF_INET)
        self._lifeline.send(b"s")
        _, descriptors, _, _ = socket.recv_fds(self._lifeline, 1, 1)
        if not descriptors:
            raise ConnectionError("the model server has ended")
        return socket.socket(fileno=descriptors[0])

    def end(self) -> None:
        """End the server with everything that it started, and wait until it is gone."""
        self._lifeline.close()
        try:
            self._launcher.wait(_GRACE + 10)
        except subprocess.TimeoutExpired:
            self._launcher.kill()
            self._launcher.wait()
        if self._launcher.returncode == -signal.SIGKILL and hasattr(self, "_group"):
            with contextlib.suppress(OSError):
                os.killpg(self._group, signal.SIGKILL)
            launcher.clean_up(
                self._launch.afterwards,
                self._launch.environment,
                complete=False,
                seconds=launcher.CLEAN_UP_SECONDS,
            )
        _running.discard(self)


def end_all() -> None:
    """End every server, and wait for those that are ended by somebody who was told to wait no longer."""
    for process in list(_running):
        process.end()


def log_excerpt(log: Path, size: int = 3000) -> str:
    """How a server's log begins and ends, for error messages: Triton follows its complaint with all of its help."""
    text = ""
    for part in (_cut_from(log), log):
        with contextlib.suppress(OSError):
            text += part.read_text(encoding="utf-8", errors="replace")
    text = text.strip()
    return text if len(text) <= size else f"{text[: size // 3]}\n[…]\n{text[-size * 2 // 3 :]}"


def shorten(log: Path, longest: int = 16 * 1024**2, kept: int = 64 * 1024) -> None:
    """Empty a log that has become too long, which the server goes on writing to, and keep its end beside it."""
    with contextlib.suppress(OSError):
        size = log.stat().st_size
        if size <= longest:
            return
        with log.open("rb") as file:
            file.seek(size - kept)
            _cut_from(log).write_bytes(file.read())
        os.truncate(log, 0)


def _cut_from(log: Path) -> Path:
    return log.with_suffix(".old")


def scratch_folder(prefix: str) -> Path:
    """A folder for a server, its user's alone, in ``/tmp`` where the one for temporary files has too long a path.

    Unix sockets are made in it. When their paths do not fit, Multi Model Server neither loads a model nor says so.
    """
    scratch = Path(tempfile.mkdtemp(prefix=prefix))
    if len(os.fsencode(scratch)) <= _LONGEST_SCRATCH:
        return scratch
    scratch.rmdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))


def container_environment(container: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server: the user's, as far as it cannot disturb, the container's, and ``own`` on top.

    Multi Model Server reads ``MMS_…`` and the toolkits ``SAGEMAKER_…`` from the environment; those may come from the
    container's definition only, as on SageMaker. The user's Python and loader settings are for another program.
    """
    disturbing = ("MMS_", "SAGEMAKER_", "PYTHON", "LD_", "JAVA_", "JDK_", "VIRTUAL_ENV", "LC_", "LANG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(disturbing)}
    # Without a locale the Python in Triton cannot name a file of a model called "café".
    return {**kept, "LANG": "C.UTF-8", **container, "SAGEMAKER_MULTI_MODEL": "true", "PYTHONUNBUFFERED": "1", **own}
