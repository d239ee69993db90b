"""Bodies longer than a request may have: refused before they are read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

MIB = 1024**2
SLACK = 64 * MIB
"""What the sockets in between may hold."""


@pytest.fixture
def connection(control_plane: Any) -> Iterator[socket.socket]:
    port = int(control_plane.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as made:
        yield made


def head(control_plane: Any, path: str, length: str) -> bytes:
    key = control_plane.environment["AWS_ACCESS_KEY_ID"]
    signed = f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/sagemaker/aws4_request"
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {signed}", length, "", ""]
    return "\r\n".join(lines).encode()


PATHS = {"/endpoints/any/invocations": 32 * MIB, "/": 70 * MIB}
"""Each with more than its limit."""


def assert_refused(connection: socket.socket, answer: bytes) -> None:
    """The answer may come in pieces, of which this is the first."""
    with suppress(ConnectionResetError):
        while b"length less than or equal to" not in answer and (more := connection.recv(65536)):
            answer += more
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"length less than or equal to" in answer


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_says_to_be_too_long_is_refused_unread(
    control_plane: Any, connection: socket.socket, path: str
) -> None:
    connection.sendall(head(control_plane, path, "Content-Length: 10000000000"))
    assert_refused(connection, connection.recv(65536))


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_does_not_say_is_refused_when_it_is_too_long(
    control_plane: Any, connection: socket.socket, path: str
) -> None:
    connection.sendall(head(control_plane, path, "Transfer-Encoding: chunked"))
    sent, chunk = 0, b"100000\r\n" + bytes(MIB) + b"\r\n"
    answer = b""
    while not answer and sent < PATHS[path] + SLACK:
        try:
            connection.sendall(chunk)
        except OSError:  # closed after its answer
            answer = connection.recv(65536)
            break
        sent += MIB
        connection.setblocking(False)
        try:
            answer = connection.recv(65536)
        except BlockingIOError:
            pass
        finally:
            connection.settimeout(60)
    assert_refused(connection, answer)
