"""The HTTP client for invocations, against a server that answers exactly what a test tells it to."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mme_local.servers.connections import Connections

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request with the next of its answers; None is none at all, and a closed connection follows b""."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.received = asyncio.Event()
        self.tasks: set[asyncio.Task[None] | None] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                self.received.set()
                answer = self.answers.pop(0)
                if answer == b"":
                    break
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Test = Callable[[Connections, Server], Coroutine[Any, Any, None]]
Talk = Callable[..., Server]


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Any:
    """How to make an event loop of either kind."""
    return pytest.importorskip(request.param).new_event_loop


@pytest.fixture(params=["unix", "tcp"])
def talk(request: pytest.FixtureRequest, new_loop: Any) -> Talk:
    """Run a test's coroutine function with a client of a server that gives these answers."""

    def run(test: Test, *answers: bytes | None) -> Server:
        loop = new_loop()
        try:
            server: Server = loop.run_until_complete(run_test(test, answers, request.param))
            return server
        finally:
            loop.close()

    return run


async def run_test(test: Test, answers: tuple[bytes | None, ...], kind: str) -> Server:
    server = Server(list(answers))
    folder = tempfile.TemporaryDirectory()
    if kind == "unix":
        listener = await asyncio.start_unix_server(server.talk, f"{folder.name}/socket")
    else:
        listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    family = listener.sockets[0].family
    connections = Connections(listener.sockets[0].getsockname(), lambda: socket.socket(family))
    try:
        await asyncio.wait_for(test(connections, server), 60)
    finally:
        connections.close()
        listener.close()
        await asyncio.gather(*(task for task in server.tasks if task is not None))
        folder.cleanup()
    return server


async def post(connections: Connections, body: bytes = b"x", seconds: float = 30) -> tuple[int, bytes]:
    status, _, answer = await connections.post("/models/m/invoke", [("Accept", "*/*")], body, seconds)
    return status, answer


def test_sends_headers_and_body_and_returns_the_answers(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        answer = await connections.post("/models/m/invoke", [("X-Name", "café")], b"\x00\xff", 5)
        assert answer == (200, [(b"Content-Type", b"text/csv"), (b"Content-Length", b"3")], b"1,2")

    server = talk(test, b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 3\r\n\r\n1,2")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.splitlines() == [
        b"POST /models/m/invoke HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Content-Length: 2",
        "X-Name: café".encode(),
    ]
    assert body == b"\x00\xff"


def test_uses_a_connection_again(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        for _ in range(3):
            assert await post(connections) == (200, b"ok")

    assert talk(test, OK, OK, OK).connections == 1


def test_callers_at_the_same_time_have_a_connection_each(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        assert await asyncio.gather(*(post(connections) for _ in range(5))) == [(200, b"ok")] * 5

    assert talk(test, *[OK] * 5).connections == 5


def test_large_bodies_pass_in_both_directions(talk: Talk) -> None:
    large = bytes(range(256)) * 24_576

    async def test(connections: Connections, server: Server) -> None:
        assert await post(connections, large) == (200, large)

    server = talk(test, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(large), large))
    assert server.requests[0].endswith(large)


def test_an_answer_that_is_too_long_is_an_os_error_and_never_kept_whole(talk: Talk) -> None:
    longest, length = 25 * 1024**2, 25 * 1024**2 + 1
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

    async def test(connections: Connections, server: Server) -> None:
        assert (await post(connections, seconds=30))[1] == bytes(longest)
        with pytest.raises(OSError, match=f"longer than {longest} bytes"):
            await post(connections, seconds=30)
        assert await post(connections) == (200, b"ok")

    talk(test, head % longest + bytes(longest), head % length + bytes(length), OK)


def test_reads_answers_in_chunks_and_of_any_status(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        assert await post(connections) == (507, b"no memory")

    talk(test, b"HTTP/1.1 507 Full\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n6\r\nmemory\r\n0\r\n\r\n")


def test_waits_for_the_answer_behind_a_continue(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        assert await post(connections) == (200, b"ok")

    talk(test, b"HTTP/1.1 100 Continue\r\n\r\n" + OK)


def test_leaves_a_connection_that_the_server_wants_to_close(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        assert await post(connections) == (200, b"bye")
        assert await post(connections) == (200, b"ok")

    farewell = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbye"
    assert talk(test, farewell, OK).connections == 2


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"])
def test_a_server_that_hangs_up_or_talks_nonsense_is_an_os_error(talk: Talk, answer: bytes) -> None:
    async def test(connections: Connections, server: Server) -> None:
        with pytest.raises(OSError, match=r"closed|not HTTP"):
            await post(connections)
        assert await post(connections) == (200, b"ok")

    assert talk(test, answer, OK).connections == 2


def test_a_server_that_is_not_there_is_an_os_error(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        with pytest.raises(ConnectionRefusedError):
            await post(Connections(("127.0.0.1", 1), socket.socket))

    talk(test)


def test_gives_up_after_the_time_and_does_not_mix_up_answers(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        with pytest.raises(TimeoutError, match=r"no answer within 0\.05 seconds"):
            await post(connections, seconds=0.05)
        assert await post(connections) == (200, b"ok")

    assert talk(test, None, OK).connections == 2


def test_the_answer_to_a_cancelled_call_goes_to_nobody(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        call = asyncio.create_task(post(connections))
        await server.received.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await post(connections) == (200, b"ok")

    assert talk(test, None, OK).connections == 2


def test_closing_ends_calls_with_an_os_error(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        call = asyncio.create_task(post(connections))
        await server.received.wait()
        connections.close()
        with pytest.raises(OSError, match="closed"):
            await call

    talk(test, None)


def test_an_answer_that_nobody_asked_for_ends_the_connection(talk: Talk) -> None:
    async def test(connections: Connections, server: Server) -> None:
        assert await post(connections) == (200, b"ok")
        assert await post(connections) == (200, b"ok")

    assert talk(test, OK + OK.replace(b"ok", b"no"), OK).connections == 2


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0"])
def test_refuses_headers_that_would_be_more_than_one(talk: Talk, value: str) -> None:
    async def test(connections: Connections, server: Server) -> None:
        with pytest.raises(ValueError, match="X-Name has a line break or a null character"):
            await connections.post("/", [("X-Name", value)], b"", 5)

    assert talk(test).connections == 0
