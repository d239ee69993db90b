"""A lean HTTP/1.1 client for one server: POST requests with a body, over connections that stay.

Every invocation passes here. aiohttp's client takes more time for one than everything else that we do about it
together, and on a laptop the model server has to share the processor with us.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

import httptools

Headers: TypeAlias = list[tuple[bytes, bytes]]
Answer: TypeAlias = tuple[int, Headers, bytes]


class Connections:
    """Connections to one server, opened as needed and used again, the last one first.

    Args:
        address: The path of the server's unix socket, or its IP address and port.
        new_socket: Makes the sockets, not connected yet.
        longest_answer: Most bytes of an answer's body.
    """

    def __init__(
        self,
        address: str | tuple[str, int],
        new_socket: Callable[[], socket.socket],
        *,
        longest_answer: int = 25 * 1024**2,
    ) -> None:
        self._address = address
        self._new_socket = new_socket
        self._longest_answer = longest_answer
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def post(self, path: str, headers: Iterable[tuple[str, str]], body: bytes, seconds: float) -> Answer:
        """Send one request and return the answer: status, headers in the server's spelling, body.

        Raises:
            TimeoutError: There was no whole answer within ``seconds``.
            OSError: The server is not there, closed the connection before it had answered, or answered too much.
            ValueError: A header has a line break.
        """
        head = _head(path, headers, len(body))
        if self._idle:
            connection = self._idle.pop()
        else:
            async with asyncio.timeout(seconds):
                connection = await self._connect()
        connection.path = path
        try:
            answer = await connection.send(head, body, seconds)
        except BaseException:
            # also when the caller is cancelled: the answer to come is nobody else's
            connection.abort()
            raise
        connection.path = None
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    def close(self, path: str | None = None) -> None:
        """Close all connections, or those with a request to ``path``; who waits for an answer gets an ``OSError``."""
        for connection in list(self._open):
            if path in (None, connection.path):
                connection.abort()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        made = self._new_socket()
        try:
            made.setblocking(False)
            await loop.sock_connect(made, self._address)
            _, connection = await loop.create_connection(
                lambda: _Connection(self._forget, self._longest_answer), sock=made
            )
        except BaseException:
            made.close()
            raise
        self._open.add(connection)
        return connection

    def _forget(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, on_lost: Callable[[_Connection], None], longest_answer: int) -> None:
        self._on_lost = on_lost
        self._longest_answer = longest_answer
        self._left = longest_answer
        self.path: str | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: Headers = []
        self._body: list[bytes] = []
        self._keeps_alive = False

    @property
    def reusable(self) -> bool:
        """Whether the server takes another request here."""
        return self._keeps_alive and self._transport is not None and not self._transport.is_closing()

    async def send(self, head: bytes, body: bytes, seconds: float) -> Answer:
        """Send a request and wait for its answer."""
        if self._transport is None:
            raise ConnectionResetError("the server closed the connection")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answer = answer
        timer = loop.call_later(seconds, self._fail, TimeoutError(f"no answer within {seconds:g} seconds"))
        try:
            self._transport.writelines((head, body))
            return await answer
        finally:
            timer.cancel()
            self._answer = None

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._on_lost(self)
        self._fail(error or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError(f"the server's answer is not HTTP: {error}"))
            self.abort()

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # nobody asked: it would be taken for the answer to the next request
        self._headers = []
        self._body = []
        self._left = self._longest_answer

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._left -= len(body)
        if self._left < 0:
            self._fail(OSError(f"the answer is longer than {self._longest_answer} bytes"))
            self.abort()
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return  # "100 Continue" and the like come before the answer
        self._keeps_alive = self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, self._headers, b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _head(path: str, headers: Iterable[tuple[str, str]], length: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n"]
    for name, value in headers:
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError(f"header {name} has a line break or a null character: {value!r}")
        lines.append(f"{name}: {value}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode()
