"""A service that speaks InvokeEndpoint and GetObject as each test wants it. Nothing here needs more than that."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import botocore.session
import pytest

from multi_model_endpoint import MultiModelClient

STORE = "s3://bucket/models/"


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        status: Of HTTP.
        error: SageMaker's type of error, if it is one.
        body: What is sent of it.
        length: What is said of its length; None for the true one.
        headers: Further ones.
        until: What to wait for before the body is sent.
    """

    status: int = 200
    error: str | None = None
    body: bytes = b"ok"
    length: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    until: threading.Event | None = None


def refusal(status: int, error: str, **members: Any) -> Reply:
    """An error of SageMaker's."""
    return Reply(status, error, json.dumps({"Message": "as the test says", **members}).encode())


NOT_READY = refusal(429, "ModelNotReadyException")
VALIDATION = refusal(400, "ValidationError")


@dataclass
class Service:
    """What answers.

    Attributes:
        model: Answers an invocation of a target model with this body.
        alias: Answers for the alias of this name.
        invoked: The target models of all requests, in the order of their arrival.
        looked_up: The aliases, likewise.
        closing: Set at the end of the test, for what hangs.
    """

    model: Callable[[str, bytes], Reply] = lambda _model, _body: Reply()
    alias: Callable[[str], Reply] = lambda _name: Reply(404)
    invoked: list[str] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def replies(self, *replies: Reply) -> None:
        """Answer invocations with these, and then with the last."""
        rest = iter(replies)
        lock = threading.Lock()

        def reply(_model: str, _body: bytes) -> Reply:
            with lock:
                return next(rest, replies[-1])

        self.model = reply

    def names(self, **aliases: str) -> None:
        """Have these aliases."""
        self.alias = lambda name: Reply(body=aliases[name].encode()) if name in aliases else NO_SUCH_KEY


NO_SUCH_KEY = Reply(404, body=b"<Error><Code>NoSuchKey</Code><Message>not there</Message></Error>")
SLOW_DOWN = Reply(503, body=b"<Error><Code>SlowDown</Code><Message>as the test says</Message></Error>")
DENIED = Reply(403, body=b"<Error><Code>AccessDenied</Code><Message>as the test says</Message></Error>")


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True
    service: Service

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Callers hang up: that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model = self.headers["X-Amzn-SageMaker-Target-Model"]
        self.server.service.invoked.append(model)
        self.answer(self.server.service.model(model, body))

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/bucket/models/.aliases/").replace("%40", "@")
        self.server.service.looked_up.append(name)
        self.answer(self.server.service.alias(name))

    def answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        self.send_header("ETag", '"1"')
        if reply.error is not None:
            self.send_header("x-amzn-errortype", reply.error)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.until is not None:
            self.wfile.flush()
            reply.until.wait(60)
        self.wfile.write(reply.body)
        if reply.length is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """No access log."""


@pytest.fixture(scope="session")
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def service(server: _Server) -> Iterator[Service]:
    """What the server answers in this test."""
    server.service = Service()
    yield server.service
    server.service.closing.set()


@pytest.fixture(scope="session")
def session(server: _Server, tmp_path_factory: pytest.TempPathFactory) -> boto3.session.Session:
    """With the service's address, and credentials for it."""
    config = tmp_path_factory.mktemp("aws") / "config"
    config.write_text(f"[default]\nregion = us-east-1\nendpoint_url = {server.url}\n")
    core = botocore.session.Session()
    core.set_config_variable("config_file", str(config))
    core.set_credentials("test", "test")
    return boto3.session.Session(botocore_session=core)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses before attempts."""
    monkeypatch.setattr("multi_model_endpoint.calling.retries._FIRST_SECONDS", 0.0)


@pytest.fixture(scope="session")
def shared_client(session: boto3.session.Session) -> MultiModelClient:
    return MultiModelClient("endpoint", models=STORE, timeout=60, session=session)


@pytest.fixture
def client(shared_client: MultiModelClient, service: Service, hurried: None) -> MultiModelClient:
    """For tests that name no alias; it hurries."""
    return shared_client


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of calls and of aliases."""
    clock = Clock()
    monkeypatch.setattr("multi_model_endpoint.calling.deadlines.monotonic", clock)
    monkeypatch.setattr("multi_model_endpoint.calling.resolving.monotonic", clock)
    return clock
