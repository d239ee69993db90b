"""Hands out TCP sockets that live in the network namespace of another process.

Triton runs where nothing but its owner reaches it; who wants to call it directly, to compare, has to go there. A
program of its own, since only one with a single thread may move. Its standard input is a socket: for each byte that
comes, a TCP socket goes back.

Usage: ``namespace.py PID``
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from pathlib import Path

_KINDS = {"user": 0x10000000, "net": 0x40000000}


class Namespace:
    """The network of a process, as a source of sockets; ``close`` it at the end."""

    def __init__(self, pid: int) -> None:
        self._lifeline, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", "-S", __file__, str(pid)]
            self._helper = subprocess.Popen(command, stdin=theirs.fileno())  # noqa: S603 - this very file

    def open_socket(self, _address: object = None) -> socket.socket:
        """A socket, not connected yet: the ``socket_factory`` of aiohttp's connector."""
        self._lifeline.send(b"s")
        _, descriptors, _, _ = socket.recv_fds(self._lifeline, 1, 1)
        if not descriptors:
            raise ConnectionError("the helper in the server's namespace has ended")
        return socket.socket(fileno=descriptors[0])

    def close(self) -> None:
        """End the helper."""
        self._lifeline.close()
        self._helper.wait(5)


def main(pid: int) -> None:
    """Move to the namespaces of a process and hand out sockets until the other side is gone."""
    lifeline = socket.socket(fileno=os.dup(0))
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, flag in _KINDS.items():
        target = Path(f"/proc/{pid}/ns/{kind}")
        if target.stat().st_ino == Path(f"/proc/self/ns/{kind}").stat().st_ino:
            continue
        with target.open() as namespace:
            if libc.setns(namespace.fileno(), flag) != 0:
                raise OSError(ctypes.get_errno(), f"setns: {kind}")
    while lifeline.recv(1):
        with socket.socket() as made:
            socket.send_fds(lifeline, [b"s"], [made.fileno()])


if __name__ == "__main__":
    main(int(sys.argv[1]))
