"""HTTP/1.1 as uvicorn reads it with httptools, without what httptools makes of upgrades and trailers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """Goes on in HTTP/1.1 where another protocol is offered, and leaves out the fields that come after the body.

    httptools takes what follows an offer for the other protocol's, and so loses the body of ``curl --http2`` and of
    Java's client; trailers it reports as if they were headers, so that they would stand in for those. An answer's head
    and body, which uvicorn writes one after the other, go out together.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = _Parser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        joining = _Joining(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joining))

    def on_headers_complete(self) -> None:
        """The head is there: the request is answered from now on, unless it comes again without its offer."""
        if not self._offers():
            super().on_headers_complete()
            self.headers = []  # for the trailers: the request has the list that was here

    def on_message_complete(self) -> None:
        """The body is there, or what httptools takes for it."""
        if not self._offers():
            super().on_message_complete()

    def head_without_offer(self) -> bytes:
        """The head just read, as it would be without ``Upgrade``."""
        fields = b"".join(b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade")
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, fields)

    def _offers(self) -> bool:
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"


class _Joining:
    """A transport that sends what is written within one turn of the event loop with one system call, or few."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._first: bytes | None = None
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._first is None:
            self._first = data
            self._loop.call_soon(self._flush)
        else:
            first, self._first = self._first, None
            self._transport.writelines((first, data))

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._first is not None:
            first, self._first = self._first, None
            self._transport.write(first)


class _Parser(httptools.HttpRequestParser):
    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._begin()

    def _begin(self) -> None:
        super().__init__(self._protocol)
        # as uvicorn has it
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            head = self._protocol.head_without_offer()
            self._begin()
            self.feed_data(head + data[offer.args[0] :])
