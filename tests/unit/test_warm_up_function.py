"""The function that warms up, as a template deploys it, against a server that answers as SageMaker does."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint, WarmUpCall

Answer = tuple[int, str]
"""A status, and the type of the error, if it is one."""
ANSWERED: Answer = (200, "")
LOADING: Answer = (429, "ModelNotReadyException")


class SageMaker(ThreadingHTTPServer):
    """Answers calls as the test says, and is CloudFormation, too."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.variants = {"AllTraffic": 1}
        self.answer: Callable[[str, int], Answer] = lambda model, earlier: ANSWERED
        self.describing: Answer = ANSWERED
        self.invoked: Counter[tuple[str, str | None, str, str | None, bytes]] = Counter()
        self.models: Counter[str] = Counter()
        self.told: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: SageMaker

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "X-Amz-Target" in self.headers:
            variants = [
                {"VariantName": name, "CurrentInstanceCount": count} for name, count in self.server.variants.items()
            ]
            self._send(self.server.describing, {"EndpointName": "mine", "ProductionVariants": variants})
            return
        header = {name: self.headers.get(f"X-Amzn-SageMaker-Target-{name}") for name in ("Model", "Variant")}
        model = str(header["Model"])
        with self.server.lock:
            earlier = self.server.models[model]
            self.server.models[model] += 1
            called = (model, header["Variant"], self.headers["Content-Type"], self.headers["Accept"], body)
            self.server.invoked[called] += 1
        self._send(self.server.answer(model, earlier), {})

    def do_PUT(self) -> None:
        assert self.headers["Content-Type"] == ""
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(ANSWERED, {})

    def _send(self, answer: Answer, body: dict[str, Any]) -> None:
        status, error = answer
        text = json.dumps({"__type": error} if error else body).encode()
        self.send_response(status)
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing is to be said."""


class Context:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * self._seconds)


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMaker]:
    with SageMaker() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ACCESS_KEY_ID": "1",
            "AWS_SECRET_ACCESS_KEY": "1",
            "ENDPOINT_NAME": "mine",
        }.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's folder in a cloud assembly."""
    app = cdk.App(outdir=str(tmp_path_factory.mktemp("cdk.out")))
    stack = cdk.Stack(app, "Stack")
    image = InferenceImage.built_in("xgboost", "3.2-0")
    endpoint = MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(image=image, model_store=ModelStore(stack, "Models")),
        instance_type="ml.m5.xlarge",
    )
    endpoint.warm_up(
        "WarmUp",
        [
            WarmUpCall("first.tar.gz", b"\x00\xff", "application/octet-stream"),
            WarmUpCall("second.tar.gz", "ä", "text/csv", accept="application/json"),
        ],
    )
    (found,) = Path(app.synth().directory).glob("asset.*/index.py")
    return found.parent


@pytest.fixture
def function(code: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("index", code / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "index", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.001)
    return module


def update(sagemaker: SageMaker, kind: str = "Update") -> dict[str, str]:
    """What CloudFormation sends."""
    event = {
        "RequestType": kind,
        "ResponseURL": sagemaker.url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "EndpointWarmUp",
    }
    return event if kind == "Create" else {**event, "PhysicalResourceId": "given"}


def reports(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_calls_every_model_as_it_was_given(
    function: Any, sagemaker: SageMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    function.handler({}, Context(60))
    assert sagemaker.invoked == {
        ("first.tar.gz", None, "application/octet-stream", None, b"\x00\xff"): 1,
        ("second.tar.gz", None, "text/csv", "application/json", "ä".encode()): 1,
    }
    assert reports(capsys) == [
        {"target_model": "first.tar.gz", "calls": 1, "answered": 1},
        {"target_model": "second.tar.gz", "calls": 1, "answered": 1},
    ]
    assert sagemaker.told == []


def test_calls_every_variant_as_often_as_its_instances_need(function: Any, sagemaker: SageMaker) -> None:
    sagemaker.variants = {"Blue": 2, "Green": 1}
    function.handler({}, Context(60))
    assert {(model, variant): count for (model, variant, *_), count in sagemaker.invoked.items()} == {
        (model, variant): calls
        for model in ("first.tar.gz", "second.tar.gz")
        for variant, calls in (("Blue", 11), ("Green", 1))
    }


@pytest.mark.parametrize("instances", [2, 3, 10, 100])
def test_calls_just_often_enough_to_reach_all_instances_in_999_of_1000_cases(function: Any, instances: int) -> None:
    def left_out(calls: int) -> float:
        return float(instances * (1 - 1 / instances) ** calls)

    calls = function.calls_for(instances)
    assert left_out(calls) <= 0.001 < left_out(calls - 1)


def test_an_instance_alone_is_called_once(function: Any) -> None:
    assert [function.calls_for(count) for count in (0, 1)] == [1, 1]


@pytest.mark.parametrize(
    "trouble", [LOADING, (400, "ThrottlingException"), (503, "ServiceUnavailable"), (400, "AccessDeniedException")]
)
def test_what_is_only_for_now_is_waited_for(
    function: Any, sagemaker: SageMaker, capsys: pytest.CaptureFixture[str], trouble: Answer
) -> None:
    sagemaker.answer = lambda model, earlier: trouble if earlier < 3 else ANSWERED
    function.handler({}, Context(60))
    assert [each["answered"] for each in reports(capsys)] == [1, 1]
    assert sagemaker.models == {"first.tar.gz": 4, "second.tar.gz": 4}


def test_a_policy_is_not_waited_for_forever(
    function: Any, sagemaker: SageMaker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(function, "_POLICY_SECONDS", 0)
    sagemaker.answer = lambda model, earlier: (400, "AccessDeniedException")
    function.handler({}, Context(600))
    assert [[*each["failed"].values()] for each in reports(capsys)] == [[1], [1]]


def test_what_a_model_refuses_is_not_sent_again_and_fails_no_deployment(
    function: Any, sagemaker: SageMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    sagemaker.answer = lambda model, earlier: (424, "ModelError") if model == "first.tar.gz" else ANSWERED
    function.handler(update(sagemaker), Context(60))
    assert sagemaker.models == {"first.tar.gz": 1, "second.tar.gz": 1}
    first, second = reports(capsys)
    assert (first["answered"], second["answered"]) == (0, 1)
    ((problem, count),) = first["failed"].items()
    assert "ModelError" in problem
    assert count == 1
    assert [each["Status"] for each in sagemaker.told] == ["SUCCESS"]


def test_a_model_that_never_loads_ends_the_warm_up_in_time(
    function: Any, sagemaker: SageMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    sagemaker.answer = lambda model, earlier: LOADING if model == "first.tar.gz" else ANSWERED
    function.handler(update(sagemaker), Context(function._ANSWER_SECONDS + 1))
    assert [each["answered"] for each in reports(capsys) if "target_model" in each] == [0, 1]
    assert [each["Status"] for each in sagemaker.told] == ["SUCCESS"]


def test_an_endpoint_that_is_gone_fails_no_deployment(
    function: Any, sagemaker: SageMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    sagemaker.describing = (400, "ValidationException")
    function.handler(update(sagemaker), Context(60))
    (report,) = reports(capsys)
    assert "ValidationException" in report["error"]
    assert [each["Status"] for each in sagemaker.told] == ["SUCCESS"]


@pytest.mark.parametrize(("kind", "physical"), [("Create", "EndpointWarmUp"), ("Update", "given"), ("Delete", "given")])
def test_cloudformation_is_told_of_one_resource_that_stays(
    function: Any, sagemaker: SageMaker, kind: str, physical: str
) -> None:
    function.handler(update(sagemaker, kind), Context(60))
    assert sagemaker.told == [
        {
            "Status": "SUCCESS",
            "PhysicalResourceId": physical,
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "EndpointWarmUp",
        }
    ]
    assert bool(sagemaker.invoked) is (kind != "Delete")
