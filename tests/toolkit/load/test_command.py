"""The command without Locust: what it asks, refuses, prints and exits with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from mme_local.testing import LocalEndpoint
from multi_model_endpoint.load import command
from multi_model_endpoint.load.deployed import Deployed, NotTestableError
from multi_model_endpoint.load.outcome import Found, FoundStep
from multi_model_endpoint.load.plan import Plan

HELD: FoundStep = {
    "rps": 120,
    "broke": None,
    "calls": 2400,
    "errors": {},
    "unanswered": 0,
    "p50_ms": 12.3,
    "p99_ms": 95.6,
    "late_p99_ms": 1.0,
}
BROKEN: FoundStep = {**HELD, "rps": 130, "broke": "p99", "p99_ms": None}
FOUND: Found = {
    "p99_target_ms": 200,
    "errors_target_percent": 1,
    "held_rps": 120,
    "broke_rps": 130,
    "ended_by": "p99",
    "steps": [HELD, BROKEN],
    "first_calls": {},
    "models": {"a.tar.gz": {"calls": 2400, "errors": {}, "unanswered": 0, "p50_ms": 12.3, "p99_ms": 95.6}},
}


@dataclass
class Endpoint:
    name: str
    sagemaker: Any
    payload: Path
    monkeypatch: pytest.MonkeyPatch
    plan: Plan | None = None

    def load(self, *options: str, found: Found | None = FOUND, during: Callable[[], object] = object) -> Result:
        def run(plan: Plan, processes: int) -> Found | None:
            self.plan = plan
            during()
            return found

        self.monkeypatch.setattr(Plan, "run", run)
        self.monkeypatch.setattr(command, "warm_up", lambda *_: {})
        arguments = [self.name, "--p99-ms", "200", "--payload", str(self.payload), *options]
        return CliRunner().invoke(command.load, arguments)


@pytest.fixture(scope="module")
def deploy(
    control_plane: LocalEndpoint, unique: Callable[[str], str], eventually: Callable[..., Any]
) -> Callable[[], str]:
    """Make an endpoint of two instances and two models, without a server, and return its name."""
    return lambda: deployed(control_plane, unique("load"), eventually)


def deployed(control_plane: LocalEndpoint, name: str, eventually: Callable[..., Any]) -> str:
    s3, sagemaker = control_plane.client("s3"), control_plane.client("sagemaker")
    s3.create_bucket(Bucket=name)
    for model in ("a.tar.gz", "b.tar.gz"):
        s3.put_object(Bucket=name, Key=f"models/{model}", Body=b"")
    image = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0"
    container = {"Image": image, "Mode": "MultiModel", "ModelDataUrl": f"s3://{name}/models/"}
    role = "arn:aws:iam::000000000000:role/Scoring"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "Main", "ModelName": name, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 2}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    eventually(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")
    return name


@pytest.fixture(scope="module")
def name(deploy: Callable[[], str]) -> str:
    """One that all tests read."""
    return deploy()


@pytest.fixture(scope="module")
def session(control_plane: LocalEndpoint) -> Iterator[boto3.session.Session]:
    """One, since each reads AWS's descriptions of its services anew."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in control_plane.environment.items():
            patch.setenv(variable, value)
        yield boto3.session.Session()


@pytest.fixture
def endpoint(
    control_plane: LocalEndpoint,
    session: boto3.session.Session,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Endpoint:
    monkeypatch.setattr(boto3.session, "Session", lambda: session)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    payload = tmp_path / "payload.csv"
    payload.write_text("1,2\n")
    return Endpoint(name, control_plane.client("sagemaker"), payload, monkeypatch)


@pytest.fixture
def own(endpoint: Endpoint, deploy: Callable[[], str]) -> Endpoint:
    """One that a test may change."""
    endpoint.name = deploy()
    return endpoint


def test_says_what_one_instance_takes(endpoint: Endpoint) -> None:
    result = endpoint.load()
    assert result.exit_code == 0, result.output
    assert "held 120 calls a second; at 130 the p99 was too high" in result.stdout
    assert "one of 2 instances takes 60 requests a second" in result.stdout
    assert 'scale_on_invocations("Load", max_requests_per_second=60)' in result.stdout
    assert "a.tar.gz  2400   0       12.3 ms  95.6 ms" in result.stdout


def test_plans_for_all_models_of_the_store(endpoint: Endpoint) -> None:
    endpoint.load("--zipf", "1")
    assert endpoint.plan is not None
    assert endpoint.plan.weights == {"a.tar.gz": 1.0, "b.tar.gz": 0.5}
    assert (endpoint.plan.variant, endpoint.plan.step_seconds) == ("Main", 20)


def test_measures_for_ten_times_the_wanted_latency(endpoint: Endpoint) -> None:
    endpoint.load("--p99-ms", "5000")
    assert endpoint.plan is not None
    assert endpoint.plan.step_seconds == 50


@pytest.mark.parametrize(
    ("text", "weights"),
    [("a\nb@prod\n", {"a": 1.0, "b@prod": 0.5}), ("a,2\nb@prod,6\n", {"b@prod": 6.0, "a": 2.0})],
)
def test_plans_for_those_of_a_file(endpoint: Endpoint, tmp_path: Path, text: str, weights: dict[str, float]) -> None:
    (tmp_path / "models.csv").write_text(text)
    endpoint.load("--models", str(tmp_path / "models.csv"))
    assert endpoint.plan is not None
    assert endpoint.plan.weights == weights


@pytest.mark.parametrize("text", ["a,1\nb\n", "a,much\n", "a,1,2\n", ""])
def test_refuses_a_file_that_is_no_such_list(endpoint: Endpoint, tmp_path: Path, text: str) -> None:
    (tmp_path / "models.csv").write_text(text)
    result = endpoint.load("--models", str(tmp_path / "models.csv"))
    assert result.exit_code == 2
    assert "each line must be a model, or each a model and a weight" in result.output


def test_prints_json(endpoint: Endpoint) -> None:
    report = json.loads(endpoint.load("--json").stdout)
    assert (report["max_requests_per_second"], report["instances"], report["variant"]) == (60, 2, "Main")
    assert report["steps"] == FOUND["steps"]


def test_writes_a_page_that_needs_no_other(endpoint: Endpoint, tmp_path: Path) -> None:
    assert endpoint.load("--html", str(tmp_path / "load.html")).exit_code == 0
    text = (tmp_path / "load.html").read_text()
    assert "max_requests_per_second=60" in text
    assert "<svg" in text
    assert not {"http:", "https:", "src=", "href="} & set(text.replace('"', " ").split())


def test_exits_with_3_when_no_rate_held(endpoint: Endpoint, tmp_path: Path) -> None:
    found: Found = {**FOUND, "held_rps": None, "steps": [BROKEN], "models": {}}
    result = endpoint.load("--html", str(tmp_path / "load.html"), found=found)
    assert result.exit_code == 3
    assert "no rate held: at 130 calls a second the p99 was too high" in result.stdout
    assert "start lower: --start-rps" in result.stderr
    assert "scale_on_invocations" not in result.stdout + (tmp_path / "load.html").read_text()


def test_exits_with_4_when_this_machine_was_too_slow(endpoint: Endpoint) -> None:
    result = endpoint.load(found={**FOUND, "ended_by": "generator"})
    assert result.exit_code == 4
    assert "this machine was too slow, so the endpoint may take more: see --processes" in result.stderr


def test_exits_with_4_when_instances_came_or_went(own: Endpoint, eventually: Callable[..., Any]) -> None:
    def scale() -> None:
        own.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=own.name,
            DesiredWeightsAndCapacities=[{"VariantName": "Main", "DesiredInstanceCount": 3}],
        )
        describe = own.sagemaker.describe_endpoint
        eventually(lambda: describe(EndpointName=own.name)["EndpointStatus"] == "InService")

    result = own.load(during=scale)
    assert result.exit_code == 4
    assert "there are 3 instances of ml.m5.xlarge now: the figure is worth nothing" in result.stderr


def test_exits_with_4_when_the_endpoint_is_being_scaled(endpoint: Endpoint) -> None:
    def find(*_: object) -> Deployed:
        raise NotTestableError("endpoint 'load' must be InService, is Updating")

    result = endpoint.load(during=lambda: endpoint.monkeypatch.setattr(Deployed, "find", find))
    assert result.exit_code == 4
    assert "must be InService, is Updating: the figure is worth nothing" in result.stderr
    assert "one of 2 instances takes 60 requests a second" in result.stdout


def test_warns_of_scaling(own: Endpoint, control_plane: LocalEndpoint) -> None:
    control_plane.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{own.name}/variant/Main",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=2,
        MaxCapacity=8,
    )
    result = own.load()
    assert "variant 'Main' is autoscaled from 2 to 8 instances, and must not scale during the test" in result.stderr
    assert result.exit_code == 0


def test_refuses_a_variant_that_is_not_there(endpoint: Endpoint) -> None:
    result = endpoint.load("--variant", "Other")
    assert result.exit_code == 1
    assert f"endpoint {endpoint.name!r} has no variant 'Other', but Main" in result.output


def test_refuses_an_endpoint_that_is_not_there(endpoint: Endpoint) -> None:
    endpoint.name = "nowhere"
    result = endpoint.load()
    assert result.exit_code == 1
    assert "Could not find endpoint" in result.output


def test_refuses_aliases_where_there_are_none(endpoint: Endpoint) -> None:
    result = endpoint.load("--aliases")
    assert result.exit_code == 1
    assert f"s3://{endpoint.name}/models/ has no aliases" in result.output


def test_refuses_a_highest_rate_below_the_first(endpoint: Endpoint) -> None:
    result = endpoint.load("--start-rps", "20", "--max-rps", "10")
    assert result.exit_code == 2
    assert "--max-rps must be at least --start-rps, 20, got 10" in result.output


def test_says_when_the_test_was_ended(endpoint: Endpoint) -> None:
    result = endpoint.load(found=None)
    assert result.exit_code == 1
    assert "the test was ended before it had found anything" in result.output


def test_says_what_brings_locust(endpoint: Endpoint) -> None:
    endpoint.monkeypatch.setattr(command, "find_spec", lambda _: None)
    result = endpoint.load()
    assert result.exit_code == 1
    assert "load needs Locust: pip install 'multi-model-endpoint[load]' brings it" in result.output


def test_the_command_brings_no_locust() -> None:
    code = "import sys, multi_model_endpoint.command; print('locust' in sys.modules, 'gevent' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
