"""What a call of an endpoint costs besides its model server, in what can be counted."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from mme_local.hosting.plane import NoServers
from mme_local.ministack.credentials import Credentials
from mme_local.ministack.gateway import Gateway
from mme_local.ministack.http import Protocol

from .conftest import invocation


def test_a_call_that_is_answered_soon_takes_no_task_of_its_own() -> None:
    made: list[Any] = []

    async def main() -> None:
        credentials = Credentials.random()
        gateway: Any = Gateway(NoServers(), credentials, lambda: None)
        gateway.sagemaker.endpoints.invocable = lambda name: True
        scope = invocation(credentials, "quick")
        messages = [{"type": "http.request", "body": b"x"}]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        def counted(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
            made.append(work)
            return asyncio.Task(work, loop=loop, **options)

        asyncio.get_running_loop().set_task_factory(counted)
        await gateway(scope, receive, send)
        asyncio.get_running_loop().set_task_factory(None)
        assert [message.get("status") for message in sent] == [503, None]

    asyncio.run(main())
    assert made == []


class Wire(asyncio.Transport):
    """A transport that keeps what each system call would have sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def writelines(self, pieces: Any) -> None:
        self.sent.append(b"".join(pieces))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def _head(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})


def _answer_of(application: Any, request: bytes) -> Wire:
    wire = Wire()

    async def main() -> None:
        config = uvicorn.Config(application, http=Protocol, ws="none", lifespan="off", log_config=None)
        state = ServerState()
        protocol = Protocol(config, state, {})
        protocol.connection_made(wire)
        protocol.data_received(request)
        await asyncio.gather(*state.tasks)
        protocol.connection_lost(None)

    asyncio.run(main())
    return wire


def test_an_answer_goes_out_at_once() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await _head(send)
        await send({"type": "http.response.body", "body": b"ok"})

    (answer,) = _answer_of(application, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").sent
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok")


def test_a_head_does_not_wait_for_a_body_that_comes_later() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await _head(send)
        for _ in range(2):
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"ok"})

    head, body = _answer_of(application, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").sent
    assert head.endswith(b"\r\n\r\n")
    assert body == b"ok"


def test_the_last_answer_is_sent_before_the_connection_is_closed() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await _head(send)
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        await send({"type": "http.response.body", "body": b"k"})

    wire = _answer_of(application, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"".join(wire.sent).endswith(b"\r\n\r\nok")
    assert wire.closed
