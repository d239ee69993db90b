"""HTTP/1.1 as uvicorn reads it with httptools, without what httptools makes of upgrades and trailers."""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """Goes on in HTTP/1.1 where another protocol is offered, and leaves out the fields that come after the body.

    httptools takes what follows an offer for the other protocol's, and so loses the body of ``curl --http2`` and of
    Java's client; trailers it reports as if they were headers, so that they would stand in for those.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = _Parser(self)
        self._in_head = False

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or a trailer."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there: the request is answered from now on, unless it comes again without its offer."""
        self._in_head = False
        if not self._offers():
            super().on_headers_complete()

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
