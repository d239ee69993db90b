"""The end of ``mme serve``, however it comes, with both real servers running and called."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from mme_local.testing import LocalEndpoint

from .conftest import KINDS, Answer, Callers, Endpoint, Site

STOP_SECONDS = 60
MARK = "MME_FAULTS_MARK"
CUT_OFF = (BotoCoreError, HTTPError)
SERVERS = {"java", "tritonserver"}
PARENT = """
import subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as child:
    print(child.pid, child.stdout.readline(), end="", flush=True)
sys.exit(abs(child.returncode))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Traces:
    """What a local AWS and its servers have on this machine.

    Args:
        mark: A value of the environment variable ``MARK`` that they alone inherited.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.regions: set[str] = set()
        self.ports: set[tuple[str, int]] = set()
        self.folders: set[Path] = set()
        self.servers: set[str] = set()

    def running(self) -> list[psutil.Process]:
        """Its processes, wherever they have gone in the tree of processes; those that have ended do not count."""
        return [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get(MARK) == self._mark]

    def look(self) -> None:
        """Take note of what there is now."""
        for process in self.running():
            with suppress(psutil.NoSuchProcess):
                self._look_at(process, process.name())

    def _look_at(self, process: psutil.Process, name: str) -> None:
        self.regions.update(re.findall(r"shm-region-prefix-name=(\w+)", " ".join(process.cmdline())))
        if name in SERVERS:
            self.servers.add(name)
            self.folders.add(Path(process.cwd()))
        if name != "tritonserver":  # it has a network of its own
            listening = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
            self.ports.update((each.laddr.ip, each.laddr.port) for each in listening)

    def shared_memory(self) -> list[str]:
        return [name for name in os.listdir("/dev/shm") if name.startswith(tuple(self.regions))]

    def open_ports(self) -> list[tuple[str, int]]:
        found = []
        for address in self.ports:
            with socket.socket() as probe:
                if probe.connect_ex(address) == 0:
                    found.append(address)
        return found

    def left(self) -> list[object]:
        """What there still is of it all, but for files in the folder for temporary ones."""
        folders = [folder for folder in self.folders if folder.exists()]
        return [*self.running(), *self.shared_memory(), *self.open_ports(), *folders]


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    return Traces(str(tmp_path))


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder with a long path: the unix sockets of Multi Model Server would not fit below it."""
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    return folder


@pytest.fixture
def started(tmp_path: Path, temporary: Path) -> Iterator[tuple[LocalEndpoint, int]]:
    """A local AWS whose parent is a program of its own: the process is the parent's, the number its own."""
    command = [str(Path(sys.executable).with_name("mme")), "serve", "--port", "0", "--exit-with-parent", "--json"]
    log = tmp_path / "log.txt"
    with log.open("w") as errors:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, *command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary), MARK: str(tmp_path)},
        )
    assert parent.stdout is not None
    with parent.stdout as output:
        pid, _, *assignments = shlex.split(output.readline())
    yield LocalEndpoint(parent, dict(each.split("=", 1) for each in assignments), log), int(pid)
    parent.kill()
    parent.wait()


ENDS: dict[str, Callable[[int, int], None]] = {
    "SIGTERM": lambda parent, own: os.kill(own, signal.SIGTERM),
    "SIGINT": lambda parent, own: os.kill(own, signal.SIGINT),
    "SIGKILL of its parent": lambda parent, own: os.kill(parent, signal.SIGKILL),
    "SIGKILL": lambda parent, own: os.kill(own, signal.SIGKILL),
}


@pytest.mark.parametrize("how", ENDS)
def test_leaves_nothing_behind_when_it_ends_under_traffic(
    started: tuple[LocalEndpoint, int], traces: Traces, temporary: Path, eventually: Callable[..., Any], how: str
) -> None:
    local, own = started
    site = Site(local, eventually)
    with ThreadPoolExecutor(2) as pool:
        endpoints = list(pool.map(lambda kind: Endpoint(site, kind, prefix=kind), KINDS))
    for at in endpoints:
        at.add("a.tar.gz")
        assert at.ask("a.tar.gz").ok
    traces.look()
    assert traces.servers == SERVERS
    assert len(traces.folders) == 2
    assert traces.ports == {("127.0.0.1", local.port)}
    assert traces.shared_memory()

    def call(number: int) -> Answer:
        try:
            return endpoints[number % 2].ask("a.tar.gz", number)
        except CUT_OFF:  # the connection was cut off, or nobody takes it any more
            return Answer(0)

    with Callers(call) as callers:
        eventually(lambda: callers.good > 40)
        ENDS[how](local.process.pid, own)
        eventually(lambda: not traces.running(), STOP_SECONDS)
    assert {answer.status for answer in callers.answers} <= {0, 200, 424, 503}, callers.failed
    assert traces.left() == []
    if how in ("SIGTERM", "SIGINT"):
        assert local.process.wait(STOP_SECONDS) == 0
    if how != "SIGKILL":  # nobody is left then to remove what is mme-local's own
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("moment", ["servers start", "models load"])
def test_leaves_nothing_behind_when_it_ends_while(
    started: tuple[LocalEndpoint, int], traces: Traces, temporary: Path, eventually: Callable[..., Any], moment: str
) -> None:
    local, own = started
    site = Site(local, eventually)
    if moment == "servers start":
        for kind in KINDS:
            site.start(site.config(site.container(kind, kind), count=2))
        eventually(lambda: [process for process in traces.running() if process.name() in SERVERS])
        traces.look()
        os.kill(own, signal.SIGTERM)
    else:
        endpoints = [Endpoint(site, kind, prefix=kind) for kind in KINDS]
        for at in endpoints:
            at.add("a.tar.gz")
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(at.call, "a.tar.gz") for at in endpoints]
            eventually(lambda: len(site.records("downloaded")) == 2)
            traces.look()
            os.kill(own, signal.SIGTERM)
        for answer in answers:
            assert isinstance(answer.exception(), (*CUT_OFF, type(None)))
    eventually(lambda: not traces.running(), STOP_SECONDS)
    assert local.process.wait(STOP_SECONDS) == 0
    assert traces.left() == []
    assert list(temporary.iterdir()) == []
