"""The end of ``mme-local serve``, however it comes, with both real servers running and called."""

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
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import BotoCoreError

from tests.conftest import LocalEndpoint

from .conftest import Answer, Callers, Endpoint, Site

STOP_SECONDS = 20
SERVERS = {"java", "tritonserver"}
PARENT = """
import subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as child:
    print(child.pid, child.stdout.readline(), end="", flush=True)
sys.exit(abs(child.returncode))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Traces:
    """What a local AWS and its servers have on this machine."""

    def __init__(self, pid: int) -> None:
        own = psutil.Process(pid)
        self.processes = [own, *own.children(recursive=True)]
        commands = [" ".join(process.cmdline()) for process in self.processes]
        self.regions = tuple(set(re.findall(r"shm-region-prefix-name=(\w+)", "\n".join(commands))))
        self.ports = {
            (connection.laddr.ip, connection.laddr.port)
            for process in self.processes
            if process.name() != "tritonserver"  # it has a network of its own
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }

        self.folders = [Path(each.cwd()) for each in self.processes if each.name() in SERVERS]

    def running(self) -> list[psutil.Process]:
        return [process for process in self.processes if alive(process)]

    def shared_memory(self) -> list[str]:
        return [name for name in os.listdir("/dev/shm") if name.startswith(self.regions)]

    def open_ports(self) -> list[tuple[str, int]]:
        found = []
        for address in self.ports:
            with socket.socket() as probe:
                if probe.connect_ex(address) == 0:
                    found.append(address)
        return found


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder with a long path: the unix sockets of Multi Model Server would not fit below it."""
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    return folder


@pytest.fixture
def started(tmp_path: Path, temporary: Path) -> Iterator[tuple[LocalEndpoint, int]]:
    """A local AWS whose parent is a program of its own: the process is the parent's, the number its own."""
    command = [str(Path(sys.executable).with_name("mme-local")), "serve", "--port", "0", "--exit-with-parent", "--json"]
    log = tmp_path / "log.txt"
    with log.open("w") as errors:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, *command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
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
    started: tuple[LocalEndpoint, int], temporary: Path, eventually: Callable[..., Any], how: str
) -> None:
    local, own = started
    site = Site(local, eventually)
    with ThreadPoolExecutor(2) as pool:
        endpoints = list(pool.map(lambda kind: Endpoint(site, kind, prefix=kind), ("mms", "triton")))
    for at in endpoints:
        at.add("a.tar.gz")
        assert at.ask("a.tar.gz").ok
    traces = Traces(own)
    assert {process.name() for process in traces.processes} > SERVERS
    assert len(traces.folders) == 2
    assert traces.shared_memory()
    assert len(traces.ports) == 2

    def call(number: int) -> Answer:
        try:
            return endpoints[number % 2].ask("a.tar.gz", number)
        except BotoCoreError:  # the connection was cut off, or nobody takes it any more
            return Answer(0)

    with Callers(call) as callers:
        eventually(lambda: callers.good > 40)
        ENDS[how](local.process.pid, own)
        eventually(lambda: not traces.running(), STOP_SECONDS)
    assert {answer.status for answer in callers.answers} <= {0, 200, 424, 503}, callers.failed

    exit_status = local.process.wait(STOP_SECONDS)
    if how in ("SIGTERM", "SIGINT"):
        assert exit_status == 0
    assert traces.shared_memory() == []
    assert traces.open_ports() == []
    assert not any(folder.exists() for folder in traces.folders)
    if how != "SIGKILL":  # nobody is left then to remove what is mme-local's own
        assert list(temporary.iterdir()) == []
