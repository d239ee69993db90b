"""The launcher: nothing that it starts outlives its owner or itself."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from mme_local.servers import process as process_module
from mme_local.servers.process import Launch, ServerProcess, log_excerpt, shorten

from .conftest import Kit

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
print("ready", flush=True)
time.sleep(600)
"""

Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(process_module, "_GRACE", 0.2)
    started: list[ServerProcess] = []

    def start(*command: str, socket: Path | None = tmp_path / "socket", remove: Sequence[str] = ()) -> ServerProcess:
        launch = Launch(command, dict(os.environ), tmp_path, socket, remove)
        started.append(ServerProcess(launch, tmp_path / "server.log"))
        return started[-1]

    yield start
    for each in started:
        each.end()


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # a zombie
        return []


def stubborn(kit: type[Kit], start: Start, tmp_path: Path, **options: Any) -> tuple[ServerProcess, list[int]]:
    server = start(sys.executable, "-c", STUBBORN, **options)
    kit.wait_until(lambda: (tmp_path / "server.log").read_text().count("ready") == 3)
    return server, [process.pid for process in kit.descendants() if command_of(process)[-1:] == [STUBBORN]]


def test_ends_what_ignores_sigterm_and_has_left_its_group(kit: type[Kit], start: Start, tmp_path: Path) -> None:
    left = tmp_path / "left-behind"
    left.mkdir()
    (tmp_path / "left-file").touch()
    server, pids = stubborn(kit, start, tmp_path, remove=[str(tmp_path / "left-*")])
    assert len(pids) == 3
    server.end()
    assert kit.alive(pids) == []
    assert list(tmp_path.glob("left-*")) == []


def test_ends_it_also_when_the_launcher_is_told_to_end(kit: type[Kit], start: Start, tmp_path: Path) -> None:
    server, pids = stubborn(kit, start, tmp_path)
    launcher = psutil.Process(min(pids)).parent()
    assert launcher is not None
    launcher.send_signal(signal.SIGTERM)
    kit.wait_until(lambda: server.exit_status() is not None)
    assert kit.alive(pids) == []


def test_a_killed_launcher_takes_the_server_along(kit: type[Kit], start: Start) -> None:
    server = start("sleep", "599")
    kit.wait_until(lambda: any(command_of(each) == ["sleep", "599"] for each in kit.descendants()))
    (sleep,) = [each for each in kit.descendants() if command_of(each) == ["sleep", "599"]]
    launcher = sleep.parent()
    assert launcher is not None
    launcher.kill()
    kit.wait_until(lambda: not kit.alive([sleep.pid]))
    kit.wait_until(lambda: server.exit_status() is not None)


def test_reports_the_exit_status(kit: type[Kit], start: Start, tmp_path: Path) -> None:
    server = start(sys.executable, "-c", "print('over and out'); raise SystemExit(7)")
    kit.wait_until(lambda: server.exit_status() is not None)
    assert server.exit_status() == 7
    assert log_excerpt(tmp_path / "server.log") == "over and out"


def test_says_which_program_is_missing(kit: type[Kit], start: Start, tmp_path: Path) -> None:
    server = start(str(tmp_path / "no-such-program"))
    kit.wait_until(lambda: server.exit_status() is not None)
    assert server.exit_status() == 127
    assert "no-such-program" in log_excerpt(tmp_path / "server.log")


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_makes_sockets_in_the_private_network(kit: type[Kit], start: Start, tmp_path: Path) -> None:
    code = (
        "import socket; s = socket.create_server(('0.0.0.0', 8080)); print('up', flush=True); s.accept()[0].send(b'hi')"
    )
    start(sys.executable, "-c", code, socket=None)
    server = start(sys.executable, "-c", code, socket=None)  # the same port twice
    kit.wait_until(lambda: (tmp_path / "server.log").read_text().count("up") == 2)
    with server.open_socket() as connection:
        connection.connect(("127.0.0.1", 8080))
        assert connection.recv(10) == b"hi"
    server.end()
    with pytest.raises(OSError, match=r".+"):
        server.open_socket()


def test_a_log_excerpt_keeps_the_beginning_and_the_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("first" + "x" * 5000 + "last")
    excerpt = log_excerpt(tmp_path / "log", 100)
    assert excerpt.startswith("first")
    assert excerpt.endswith("last")
    assert len(excerpt) < 120
    assert log_excerpt(tmp_path / "none") == ""


def test_a_log_that_has_become_too_long_is_emptied_under_the_server_and_messages_still_have_its_end(
    kit: type[Kit], start: Start, tmp_path: Path
) -> None:
    log, go = tmp_path / "server.log", tmp_path / "go"
    code = "import os; print('x' * 10_000, 'before', flush=True)\nwhile not os.path.exists('go'): pass\nprint('after')"
    start(sys.executable, "-c", code)
    kit.wait_until(lambda: "before" in log.read_text())
    shorten(log, longest=20_000)
    assert log.stat().st_size > 10_000
    shorten(log, longest=5_000, kept=1_000)
    assert log.stat().st_size == 0
    go.touch()
    kit.wait_until(lambda: log.read_text() == "after\n")
    assert log_excerpt(log).endswith("xxx before\nafter")


def test_the_launcher_needs_nothing_installed() -> None:
    source = Path(process_module.__file__).with_name("launch.py").read_text()
    assert "mme_local" not in source
