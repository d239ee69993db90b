"""A line for each call."""

from __future__ import annotations

import json
import logging
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from multi_model_endpoint import MultiModelClient

from .conftest import NOT_READY, STORE, VALIDATION, Reply, Service

MODEL = "churn-1a2b3c4d.tar.gz"
ANSWER = Reply(headers={"x-Amzn-Invoked-Production-Variant": "AllTraffic"})


@pytest.fixture(scope="module")
def logging_client(session: boto3.session.Session) -> MultiModelClient:
    return MultiModelClient("endpoint", models=STORE, call_log=True, session=session)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """The lines so far, without their milliseconds, which are checked."""
    caplog.set_level(logging.INFO, "multi_model_endpoint.calls")

    def get() -> list[dict[str, Any]]:
        found = [json.loads(record.message) for record in caplog.records if record.levelno == logging.INFO]
        assert all(line.pop("milliseconds") > 0 for line in found)
        return found

    return get


def test_a_call_is_one_line_of_json(
    service: Service, logging_client: MultiModelClient, hurried: None, lines: Any
) -> None:
    service.names(**{"churn@prod": MODEL})
    service.replies(NOT_READY, ANSWER)
    logging_client.invoke("churn@prod", b"x")
    logging_client.invoke(MODEL, b"x")
    usual = {
        "event": "mme.call",
        "endpoint": "endpoint",
        "alias": "churn@prod",
        "target_model": MODEL,
        "variant": "AllTraffic",
        "status": 200,
        "attempts": 2,
    }
    first, second = lines()
    assert first == usual
    del usual["alias"]
    assert second == {**usual, "attempts": 1}


def test_a_call_that_fails_is_a_line_with_its_error(
    service: Service, logging_client: MultiModelClient, hurried: None, lines: Any
) -> None:
    service.names(churn=MODEL)
    service.replies(VALIDATION, Reply(until=service.closing))
    with pytest.raises(ClientError):
        logging_client.invoke(MODEL, b"x", variant="B")
    with pytest.raises(BotoCoreError):
        logging_client.invoke("churn", b"x", timeout=0.3)
    with pytest.raises(BotoCoreError):
        logging_client.invoke("lost", b"x")
    found = [tuple(map(line.get, ("target_model", "variant", "status", "error"))) for line in lines()]
    assert found == [
        (MODEL, "B", 400, "ValidationError"),
        (MODEL, None, None, "ReadTimeoutError"),
        (None, None, None, "UnknownAliasError"),
    ]


def test_nothing_is_logged_of_calls_unless_it_is_asked_for(
    service: Service, client: MultiModelClient, lines: Any
) -> None:
    client.invoke(MODEL, b"x")
    assert lines() == []
