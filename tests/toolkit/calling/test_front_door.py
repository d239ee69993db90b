"""The function of examples/front_door, called as API Gateway does: what it says of what SageMaker says."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from multi_model_endpoint.aliases import InvalidAliasError

from .conftest import DENIED, NOT_READY, STORE, VALIDATION, Clock, Reply, Service, _Server, refusal

Call = Callable[..., dict[str, Any]]


@dataclass
class Context:
    """Of a function that has so much time left."""

    seconds: int = 60

    def get_remaining_time_in_millis(self) -> int:
        return self.seconds * 1000


@pytest.fixture(scope="module")
def function(server: _Server) -> Iterator[ModuleType]:
    """The module, which makes its client with what Lambda has in the environment."""
    program = Path(__file__).parents[3] / "examples" / "front_door" / "function" / "front_door.py"
    spec = importlib.util.spec_from_file_location("front_door", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    environment = {
        "ENDPOINT_NAME": "endpoint",
        "MODELS": STORE,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "dont_write_bytecode", True)  # what lies there goes into the asset
        spec.loader.exec_module(module)
    yield module
    for handler in _own_handlers(module):
        module.calls.removeHandler(handler)
    module.calls.propagate = True
    module.calls.setLevel(logging.NOTSET)


@pytest.fixture
def call(function: ModuleType, service: Service, hurried: None) -> Call:
    """Post to a path of tenant_a, which has the alias "churn"."""
    service.names(**{"tenant_a/churn": "tenant_a/churn-1.tar.gz", "tenant_b/churn": "tenant_b/churn-1.tar.gz"})

    def call(
        alias: str = "churn", body: bytes = b"3,95", *, tenant: str = "tenant_a", seconds: int = 60, **headers: str
    ) -> dict[str, Any]:
        event = {
            "requestContext": {"authorizer": {"lambda": {"tenant": tenant}}},
            "pathParameters": {"alias": alias},
            "headers": {name.replace("_", "-"): value for name, value in headers.items()},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        answer: dict[str, Any] = function.handler(event, Context(seconds))
        return answer

    return call


def test_an_answer_is_the_models(call: Call, service: Service) -> None:
    service.model = lambda model, body: Reply(body=b"\xff" + body, headers={"Content-Type": "image/png"})
    answer = call(body=b"\x00\xfe")
    assert (answer["statusCode"], answer["headers"]) == (200, {"content-type": "image/png"})
    assert base64.b64decode(answer["body"]) == b"\xff\x00\xfe"
    assert service.invoked == ["tenant_a/churn-1.tar.gz"]


def test_text_is_sent_as_it_came(function: ModuleType, call: Call, service: Service) -> None:
    service.model = lambda _model, body: Reply(body=body)
    event = {
        "requestContext": {"authorizer": {"lambda": {"tenant": "tenant_a"}}},
        "pathParameters": {"alias": "churn"},
        "headers": {},
        "isBase64Encoded": False,
    }
    assert base64.b64decode(function.handler(event | {"body": "größer"}, Context())["body"]) == "größer".encode()
    assert base64.b64decode(function.handler(event, Context())["body"]) == b""


def test_the_types_are_passed_on(function: ModuleType, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    invoke = Mock(wraps=function.client.invoke)
    monkeypatch.setattr(function.client, "invoke", invoke)
    call(content_type="text/csv", accept="application/json")
    assert invoke.call_args.kwargs["content_type"] == "text/csv"
    assert invoke.call_args.kwargs["accept"] == "application/json"


@pytest.mark.parametrize(
    "alias",
    [
        "unknown",
        "tenant_b/churn",
        "../tenant_b/churn",
        "..%2Ftenant_b",
        "..",
        "",
        "@prod",
        "tenant_a/churn-1.tar.gz",
        "x.tar.gz",
    ],
)
def test_what_is_no_alias_of_the_tenant_is_not_there(call: Call, service: Service, alias: str) -> None:
    assert call(alias)["statusCode"] == 404
    assert service.invoked == []


def test_an_alias_that_may_not_be_read_is_not_there(call: Call, service: Service) -> None:
    service.alias = lambda _name: DENIED
    assert call("denied")["statusCode"] == 404


@pytest.mark.parametrize("tenant", ["", "..", "tenant_a/.."])
def test_a_tenant_without_a_proper_name_has_no_models(call: Call, service: Service, tenant: str) -> None:
    assert call(tenant=tenant)["statusCode"] == 404
    assert (service.invoked, service.looked_up) == ([], [])


def test_without_an_authorizer_nothing_is_called(function: ModuleType, service: Service) -> None:
    event = {"requestContext": {}, "pathParameters": {"alias": "churn"}, "headers": {"tenant": "tenant_a"}}
    with pytest.raises(KeyError, match="authorizer"):
        function.handler(event, Context())
    assert service.looked_up == []


MODEL_ERROR = {"OriginalMessage": "as the model says"}


@pytest.mark.parametrize(
    ("reply", "status", "retry_after"),
    [
        (refusal(424, "ModelError", OriginalStatusCode=400, **MODEL_ERROR), 400, None),
        (refusal(424, "ModelError", OriginalStatusCode=415, **MODEL_ERROR), 415, None),
        (refusal(424, "ModelError", OriginalStatusCode=500, **MODEL_ERROR), 502, None),
        (refusal(424, "ModelError", OriginalStatusCode=0, **MODEL_ERROR), 502, None),
        (refusal(424, "ModelError", OriginalStatusCode=507, **MODEL_ERROR), 503, "5"),
        (refusal(424, "ModelError", OriginalStatusCode=503, OriginalMessage="Prediction failed"), 502, None),
        (NOT_READY, 503, "5"),
        (refusal(400, "ThrottlingException"), 429, "1"),
        (refusal(429, "TooManyRequestsException"), 429, "1"),
        (refusal(500, "InternalFailure"), 503, "5"),
        (refusal(530, "InternalDependencyException"), 503, "5"),
        (VALIDATION, 502, None),
    ],
)
def test_what_went_wrong_to_the_end_has_its_status(
    call: Call, service: Service, clock: Clock, reply: Reply, status: int, retry_after: str | None
) -> None:
    def model(_model: str, _body: bytes) -> Reply:
        clock.now += 60
        return reply

    service.model = model
    answer = call()
    assert answer["statusCode"] == status
    assert answer["headers"].get("retry-after") == retry_after


def test_a_callers_mistake_is_explained_and_a_models_bug_is_not(call: Call, service: Service) -> None:
    service.replies(refusal(424, "ModelError", OriginalStatusCode=400, OriginalMessage="no such column"))
    assert json.loads(call()["body"]) == {"message": "no such column"}
    service.replies(refusal(424, "ModelError", OriginalStatusCode=500, OriginalMessage="Traceback"))
    assert "Traceback" not in call()["body"]


def test_what_takes_too_long_ends_before_the_function_does(call: Call, service: Service) -> None:
    service.replies(Reply(until=service.closing))
    assert call(seconds=1)["statusCode"] == 504


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EndpointConnectionError(endpoint_url="url"), 503),
        (ConnectionClosedError(endpoint_url="url"), 503),
        (ConnectTimeoutError(endpoint_url="url"), 504),
        (ReadTimeoutError(endpoint_url="url"), 504),
    ],
)
def test_nobodys_answer_has_a_status(
    function: ModuleType, call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setattr(function.client, "invoke", Mock(side_effect=error))
    assert call()["statusCode"] == status


def test_an_alias_that_names_no_model_is_the_apps_fault(call: Call, service: Service) -> None:
    service.names(**{"tenant_a/wrong": "nonsense"})
    with pytest.raises(InvalidAliasError):
        call("wrong")


def test_what_is_too_large_is_refused(
    function: ModuleType, call: Call, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function, "MOST_BYTES", 3)
    assert call(body=b"1234")["statusCode"] == 413
    assert service.invoked == []
    service.replies(Reply(body=b"1234"))
    assert call(body=b"123")["statusCode"] == 502


def test_a_missing_permission_is_the_apps_fault(call: Call, service: Service) -> None:
    service.replies(refusal(403, "AccessDeniedException"))
    with pytest.raises(ClientError, match="AccessDeniedException"):
        call()


def test_each_call_is_a_line_of_json(function: ModuleType, call: Call) -> None:
    (handler,) = _own_handlers(function)
    written = io.StringIO()
    before = handler.setStream(written)
    call()
    handler.setStream(before)
    assert json.loads(written.getvalue())["alias"] == "tenant_a/churn"


def _own_handlers(function: ModuleType) -> list[Any]:
    """Those of the call log that are not pytest's."""
    return [handler for handler in function.calls.handlers if type(handler) is logging.StreamHandler]
