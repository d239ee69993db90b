r"""Runs one model server for its owner, and ends all of it when the owner ends, however that happens.

A program of its own, run by path and without site-packages so that it costs 20 ms and a few megabytes; it imports
nothing of ours. Its standard input is a socket to the owner, the *lifeline*, on which it

* first answers ``+<process group>\n``, or ``-<reason>\n`` when it cannot start;
* answers each byte with a new TCP socket, made here. A socket stays in the network namespace in which it was made, so
  the owner talks straight to a server in a namespace that nothing else can reach;
* sees the owner's end, by ``close()`` or by SIGKILL: then it ends the server's whole process group and whatever was
  orphaned by it, removes what the server left behind, and exits.

Usage: ``launch.py '{"command": […], "remove": [paths and globs], "private_network": false, "grace": 3.0,
"afterwards": [commands], "made": path or null}'``
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import glob
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LINUX = sys.platform == "linux"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
CLEAN_UP_SECONDS = 5.0
"""How long commands that clean up are run again and again."""


def main(settings: dict[str, Any]) -> int:
    """Run the server until it exits or its owner does; the exit status is the server's."""
    lifeline = socket.socket(fileno=os.dup(0))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)  # the server must not hold the lifeline
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    stopping: list[int] = []
    ended = None
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        if LINUX:
            _prctl(PR_SET_CHILD_SUBREAPER, 1)
        if settings["private_network"]:
            enter_private_network()
        server = _start(settings["command"])
        lifeline.sendall(b"+%d\n" % server)
        while ended is None and not stopping:
            readable, _, _ = select.select([lifeline, woken], [], [])
            if woken in readable:
                woken.recv(4096)
                ended = _reap(server)
            if lifeline in readable and not _serve_sockets(lifeline):
                break
        status = ended if ended is not None else _end_gracefully(server, settings["grace"])
        _kill_the_rest(server)
    except OSError as error:
        with contextlib.suppress(OSError):
            lifeline.sendall(f"-{error.strerror or error}\n".encode())
    finally:
        made = has_content(settings["made"])
        seconds = 0.0 if ended is not None and not made else CLEAN_UP_SECONDS
        clean_up(settings["afterwards"], os.environ, complete=ended is not None or made, seconds=seconds)
        _remove(settings["remove"])
    return status


def enter_private_network() -> None:
    """Move this process to a network namespace of its own in which only the loopback device exists, and is up."""
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)
    except OSError:
        _unshare(CLONE_NEWNET)  # root may, even where user namespaces are switched off
    else:
        # Without the maps every file that the server makes would be refused for having no owner.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def _start(command: list[str]) -> int:
    launcher = os.getpid()
    # A SIGTERM that came before the child has put our handlers off would be lost on it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        with contextlib.suppress(OSError):
            os.setpgid(child, child)  # both sides do it: whoever comes first
        return child
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        if LINUX:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # should somebody kill this launcher
            if os.getppid() != launcher:
                os._exit(1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(command[0], command)  # noqa: S606 - the owner's command
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error}\n")
        sys.stderr.flush()
    os._exit(127)


def _serve_sockets(lifeline: socket.socket) -> bool:
    """Answer the owner's wishes for sockets; False when the owner is gone."""
    try:
        wishes = lifeline.recv(64)
        for _ in wishes:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
                socket.send_fds(lifeline, [b"s"], [made.fileno()])
    except OSError:
        return False
    return bool(wishes)


def _reap(server: int) -> int | None:
    """Collect every child that has exited; the server's exit status if it is among them."""
    ended = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == server:
                ended = os.waitstatus_to_exitcode(status)
    return ended


def _end_gracefully(server: int, grace: float) -> int:
    with contextlib.suppress(OSError):
        os.killpg(server, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        ended = _reap(server)
        if ended is not None:
            return ended
        time.sleep(0.01)
    return -signal.SIGKILL


def _kill_the_rest(server: int) -> None:
    """Kill the group, and as subreaper also what left it; a worker of Multi Model Server ignores SIGTERM."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            os.killpg(server, signal.SIGKILL)
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def clean_up(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], *, complete: bool, seconds: float
) -> None:
    """Run commands that remove what a daemon made for the server, until all of them succeed or the time is over.

    When the server was cut off before it was ``complete``, the daemon may be about to make something, which comes after
    the first removal: then they run again until the time is over. When it gave up by itself before it had made all,
    say because its network's addresses were taken, there may be nothing to remove, and once is enough.
    """
    deadline = time.monotonic() + seconds
    while commands:
        succeeded = [_run(command, environment) for command in commands]
        if (complete and all(succeeded)) or time.monotonic() > deadline:
            return
        time.sleep(0.1)


def has_content(path: str | None) -> bool:
    """Whether there is such a file, and something in it."""
    with contextlib.suppress(OSError):
        return path is not None and os.path.getsize(path) > 0
    return False


def _run(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    quiet = [(os.POSIX_SPAWN_OPEN, output, os.devnull, os.O_WRONLY, 0) for output in (1, 2)]
    try:
        child = os.posix_spawnp(command[0], list(command), environment, file_actions=quiet)
        return os.waitpid(child, 0)[1] == 0
    except OSError:
        return False


def _remove(patterns: list[str]) -> None:
    for pattern in patterns:
        for path in glob.glob(pattern):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(path)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
