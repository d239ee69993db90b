"""One model server's processes, as their owner sees them: start, sockets, log, end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mme_local.servers.base import ServerError

_LAUNCHER = Path(__file__).with_name("launch.py")
_LAUNCH_TIMEOUT = 20.0
_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL. SageMaker gives 30; nothing here needs longer to save, and people wait."""


class LaunchRefused(ServerError):
    """The launcher could not set up what was asked of it, say a private network."""


@dataclass(frozen=True)
class Launch:
    """How to run a server."""

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    port: int
    remove: Sequence[str] = field(default_factory=tuple)
    """Paths and globs that are deleted when the server has ended, also when the owner was killed."""
    private_network: bool = False


class ServerProcess:
    """A running server under its launcher (see ``launch.py``). All methods block; none for long but ``end``."""

    def __init__(self, launch: Launch, log: Path) -> None:
        settings = {
            "command": list(launch.command),
            "remove": list(launch.remove),
            "private_network": launch.private_network,
            "grace": _GRACE,
        }
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
        """A TCP socket in the server's network, not connected yet: the ``socket_factory`` of aiohttp's connector."""
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


_PORTS = range(20000, 32000)
"""Below what kernels hand out for outgoing connections, and Multi Model Server refuses ports above 49151."""
_taken: set[int] = set()


def reserve_port() -> int:
    """A loopback port that is free now and that this process does not hand out again until released."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in _taken:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            _taken.add(port)
            return port
    raise ServerError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop - 1}")


def release_port(port: int) -> None:
    """Let a reserved port be handed out again."""
    _taken.discard(port)


def container_environment(container: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a server: the user's, as far as it cannot disturb, the container's, and ``own`` on top.

    Multi Model Server reads ``MMS_…`` and the toolkits ``SAGEMAKER_…`` from the environment; those may come from the
    container's definition only, as on SageMaker. The user's Python and loader settings are for another program.
    """
    disturbing = ("MMS_", "SAGEMAKER_", "PYTHON", "LD_", "JAVA_", "JDK_", "VIRTUAL_ENV", "LC_", "LANG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(disturbing)}
    # Without a locale the Python in Triton cannot name a file of a model called "café".
    return {**kept, "LANG": "C.UTF-8", **container, "SAGEMAKER_MULTI_MODEL": "true", "PYTHONUNBUFFERED": "1", **own}
