"""What a call is sent again after, and what ends it."""

from __future__ import annotations

import io
import socket
import threading
import time
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber

from multi_model_endpoint import MultiModelClient

from .conftest import NOT_READY, VALIDATION, Clock, Reply, Service, refusal

MODEL = "churn-1a2b3c4d.tar.gz"
REQUEST = {"EndpointName": "endpoint", "TargetModel": MODEL, "Body": b"x"}

HARMLESS = [
    NOT_READY,
    refusal(400, "ThrottlingException"),
    refusal(429, "TooManyRequestsException"),
]
TWICE_MAYBE = [
    refusal(500, "InternalFailure"),
    refusal(502, "Unknown"),
    refusal(503, "ServiceUnavailable"),
    refusal(504, "Unknown"),
    refusal(530, "InternalDependencyException"),
    refusal(424, "ModelError", OriginalStatusCode=0, OriginalMessage=""),
    refusal(424, "ModelError", OriginalStatusCode=503, OriginalMessage=""),
    refusal(424, "ModelError", OriginalStatusCode=507, OriginalMessage=""),
    Reply(body=b"half", length=8),
]
FINAL = [
    VALIDATION,
    refusal(403, "AccessDeniedException"),
    refusal(413, "Unknown"),
    refusal(424, "ModelError", OriginalStatusCode=400, OriginalMessage=""),
    refusal(424, "ModelError", OriginalStatusCode=415, OriginalMessage=""),
    refusal(424, "ModelError", OriginalStatusCode=500, OriginalMessage=""),
    refusal(424, "ModelError", OriginalStatusCode=503, OriginalMessage='{"code": 503, "message": "Prediction failed"}'),
]


def named(reply: Reply) -> str:
    return f"{reply.status}-{reply.error}-{reply.body.decode()}"


@pytest.mark.parametrize("reply", [*HARMLESS, *TWICE_MAYBE], ids=named)
def test_what_passes_by_itself_is_sent_again(service: Service, client: MultiModelClient, reply: Reply) -> None:
    service.replies(reply, reply, Reply(body=b"a prediction"))
    assert client.invoke(MODEL, b"x").body == b"a prediction"
    assert service.invoked == [MODEL] * 3


@pytest.mark.parametrize("reply", FINAL, ids=named)
def test_what_the_next_attempt_would_answer_too_is_raised_at_once(
    service: Service, client: MultiModelClient, reply: Reply
) -> None:
    service.replies(reply)
    with pytest.raises(ClientError) as caught:
        client.invoke(MODEL, b"x")
    assert caught.value.response["Error"]["Code"] == reply.error
    assert "reached max retries" not in str(caught.value)
    assert service.invoked == [MODEL]


def test_what_a_container_goes_on_to_answer_is_raised_long_before_the_end(
    service: Service, client: MultiModelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multi_model_endpoint.calling.retries._FIRST_SECONDS", 0.001)
    service.model = lambda _model, _body: refusal(424, "ModelError", OriginalStatusCode=507, OriginalMessage="")
    with pytest.raises(ClientError, match="reached max retries: 7"):
        client.invoke(MODEL, b"x", timeout=600)
    assert service.invoked == [MODEL] * 8


@pytest.mark.parametrize("reply", TWICE_MAYBE, ids=named)
def test_what_may_have_been_executed_is_sent_once_if_the_caller_wants_that(
    service: Service, client: MultiModelClient, reply: Reply
) -> None:
    service.replies(reply)
    with pytest.raises((ClientError, BotoCoreError)) as caught:
        client.invoke(MODEL, b"x", idempotent=False)
    assert "reached max retries" not in str(caught.value)
    assert service.invoked == [MODEL]


@pytest.mark.parametrize("reply", HARMLESS, ids=named)
def test_what_was_not_executed_is_sent_again_even_if_it_must_not_be_executed_twice(
    service: Service, client: MultiModelClient, reply: Reply
) -> None:
    service.replies(reply, Reply())
    assert client.invoke(MODEL, b"x", idempotent=False).body == b"ok"
    assert service.invoked == [MODEL] * 2


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_connection_that_breaks_before_the_answer_may_have_brought_the_request(
    service: Service, client: MultiModelClient, idempotent: bool
) -> None:
    broken: list[bytes] = []

    def model(_model: str, body: bytes) -> Reply:
        broken.append(body)
        if len(broken) == 1:
            raise ConnectionResetError
        return Reply()

    service.model = model
    if idempotent:
        assert client.invoke(MODEL, b"x").body == b"ok"
    else:
        with pytest.raises(BotoCoreError, match="Connection was closed"):
            client.invoke(MODEL, b"x", idempotent=False)
    assert broken == [b"x"] * (2 if idempotent else 1)


def test_the_client_underneath_retries_as_well(service: Service, client: MultiModelClient) -> None:
    service.replies(NOT_READY, NOT_READY, Reply(body=b"half", length=8), Reply(body=b"a prediction"))
    answer = client.boto3_client.invoke_endpoint(EndpointName="endpoint", TargetModel=MODEL, Body=b"x")
    assert answer["Body"].read() == b"a prediction"
    assert answer["ResponseMetadata"]["RetryAttempts"] == 3


def test_a_stub_of_botocores_answers_in_tests_of_a_user(session: boto3.session.Session) -> None:
    client = MultiModelClient("endpoint", session=session)
    with Stubber(client.boto3_client) as stub:
        stub.add_response(
            "invoke_endpoint", {"Body": io.BytesIO(b"a prediction")}, {**REQUEST, "ContentType": "text/csv"}
        )
        stub.add_client_error("invoke_endpoint", "ValidationError", http_status_code=400)
        assert client.invoke(MODEL, b"x", content_type="text/csv").body == b"a prediction"
        with pytest.raises(ClientError, match="ValidationError"):
            client.invoke(MODEL, b"x")


def test_every_option_is_sent_and_what_is_left_out_is_not(session: boto3.session.Session) -> None:
    client = MultiModelClient("endpoint", session=session)
    options = {
        "content_type": "text/csv",
        "accept": "application/json",
        "variant": "B",
        "custom_attributes": "trace=1",
        "inference_id": "1",
    }
    sent = {
        "ContentType": "text/csv",
        "Accept": "application/json",
        "TargetVariant": "B",
        "CustomAttributes": "trace=1",
        "InferenceId": "1",
    }
    with Stubber(client.boto3_client) as stub:
        stub.add_response("invoke_endpoint", {"Body": io.BytesIO()}, {**REQUEST, **sent})
        stub.add_response("invoke_endpoint", {"Body": io.BytesIO()}, REQUEST)
        client.invoke(MODEL, b"x", **options)  # type: ignore[arg-type]
        client.invoke(MODEL, b"x")


def test_an_empty_answer_and_a_large_one_arrive_whole(service: Service, client: MultiModelClient) -> None:
    service.replies(Reply(body=b""), Reply(body=bytes(range(256)) * 20_000))
    assert client.invoke(MODEL, b"x").body == b""
    assert client.invoke(MODEL, b"x").body == bytes(range(256)) * 20_000


def test_answers_say_who_has_answered_what(service: Service, client: MultiModelClient) -> None:
    headers = {
        "Content-Type": "text/csv",
        "x-Amzn-Invoked-Production-Variant": "B",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
    }
    service.replies(Reply(headers=headers))
    answer = client.invoke(MODEL, b"x")
    assert (answer.content_type, answer.variant, answer.custom_attributes) == ("text/csv", "B", "trace=1")
    assert answer.target_model == MODEL


def test_the_end_of_the_time_raises_the_last_error_and_says_how_many_attempts_there_were(
    service: Service, unhurried: MultiModelClient
) -> None:
    service.replies(NOT_READY)
    with pytest.raises(ClientError, match=r"\(ModelNotReadyException\).*reached max retries: ") as caught:
        unhurried.invoke(MODEL, b"x", timeout=600)
    attempts = len(service.invoked)
    assert attempts > 2
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == attempts - 1
    (note,) = caught.value.__notes__
    assert note.startswith(f"{attempts} attempts in ")
    assert note.endswith(" of 600 seconds")


def test_nobody_listening_is_tried_until_the_end_of_the_time(
    session: boto3.session.Session, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=clock.sleep))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        client = MultiModelClient("endpoint", session=session)
        with pytest.raises(EndpointConnectionError) as caught:
            client.invoke(MODEL, b"x", timeout=600, idempotent=False)
    assert int(caught.value.__notes__[0].split()[0]) > 2


@pytest.mark.parametrize("begun", [False, True], ids=["no answer", "half an answer"])
def test_an_answer_that_does_not_come_is_waited_for_until_the_end_of_the_time(
    service: Service, client: MultiModelClient, begun: bool
) -> None:
    if begun:
        service.replies(Reply(until=service.closing))
    else:
        service.model = lambda _model, _body: Reply(400) if service.closing.wait(60) else Reply()
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        client.invoke(MODEL, b"x", timeout=0.5)
    assert 0.5 <= time.monotonic() - began < 20  # and not botocore's 60, nor the 70 of an attempt
    assert service.invoked == [MODEL]


def test_the_rest_of_an_answer_is_waited_for_as_long_as_the_call_may_still_take(
    service: Service, client: MultiModelClient, clock: Clock
) -> None:
    def model(_model: str, _body: bytes) -> Reply:
        clock.sleep(59.5)  # of 60, which botocore would wait for each part
        return Reply(until=service.closing)

    service.model = model
    began = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        client.invoke(MODEL, b"x", timeout=60)
    assert time.monotonic() - began < 30


def test_attempts_of_calls_with_different_times_do_not_mix(service: Service, client: MultiModelClient) -> None:
    held = threading.Event()
    service.model = lambda _model, body: Reply(body=body) if body == b"short" or held.wait(60) else Reply()
    answers: list[Any] = []
    patient = threading.Thread(target=lambda: answers.append(client.invoke(MODEL, b"long", timeout=60).body))
    patient.start()
    assert client.invoke(MODEL, b"short", timeout=50).body == b"short"
    with pytest.raises(ReadTimeoutError):
        client.invoke(MODEL, b"hangs", timeout=0.3)
    held.set()
    patient.join()
    assert answers == [b"long"]


@pytest.mark.parametrize("timeout", [0, -1])
def test_refuses_no_time_at_all(session: boto3.session.Session, client: MultiModelClient, timeout: float) -> None:
    message = f"timeout must be above 0 seconds, got {timeout}"
    with pytest.raises(ValueError, match=message):
        MultiModelClient("endpoint", session=session, timeout=timeout)
    with pytest.raises(ValueError, match=message):
        client.invoke(MODEL, b"x", timeout=timeout)


class Slow:
    """A service in a time of its own: each attempt takes these seconds."""

    def __init__(self, client: MultiModelClient, clock: Clock, seconds: float, ready_after: float = 1e9) -> None:
        self.attempts = 0
        self._clock, self._seconds = clock, seconds
        self._ready = clock.now + ready_after
        client.boto3_client.meta.events.register("before-send.sagemaker-runtime", self.send)

    def send(self, **_: Any) -> Any:
        self.attempts += 1
        self._clock.now += self._seconds
        raw = SimpleNamespace(stream=lambda: iter([b"{}"]), read=lambda _=None: b"", close=lambda: None)
        if self._clock.now >= self._ready:
            return AWSResponse("", 200, HTTPHeaders(), raw)
        headers = HTTPHeaders.from_dict({"x-amzn-errortype": "ModelNotReadyException"})
        return AWSResponse("", 429, headers, raw)


@pytest.fixture
def unhurried(session: boto3.session.Session, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> MultiModelClient:
    """Pauses as they are, in the clock's time."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=clock.sleep))
    return MultiModelClient("endpoint", session=session)


@pytest.mark.parametrize(("timeout", "calls"), [(0.5, 20), (3, 20), (30, 10), (360, 3), (3600, 1)])
def test_time_ends_in_time(clock: Clock, unhurried: MultiModelClient, timeout: float, calls: int) -> None:
    service = Slow(unhurried, clock, seconds=timeout / 1000)
    for _ in range(calls):
        began, before = clock.now, service.attempts
        with pytest.raises(ClientError):
            unhurried.invoke(MODEL, b"x", timeout=timeout)
        assert 0.95 * timeout <= clock.now - began <= 1.05 * timeout
        assert 3 <= service.attempts - before <= timeout + 50


def test_a_model_that_takes_minutes_to_load_is_waited_for(clock: Clock, unhurried: MultiModelClient) -> None:
    service = Slow(unhurried, clock, seconds=60, ready_after=300)
    began = clock.now
    assert unhurried.invoke(MODEL, b"x").body == b""
    assert 300 <= clock.now - began < 360
    assert service.attempts == 5
