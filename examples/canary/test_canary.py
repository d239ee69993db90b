"""The app's template, and two releases under traffic: a good one that goes through, and a bad one that does not."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint

HERE = Path(__file__).parent
STACK = "Canary"
FIRST, BETTER = "0.965", "0.96541"


class Traffic:
    """Calls of the model, until the end of the block."""

    def __init__(self, aws: LocalEndpoint, outputs: dict[str, str]) -> None:
        self._runtime = aws.client("sagemaker-runtime", read_timeout=70)
        self._outputs = outputs
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def call(self) -> str:
        """What the model answers, or how it fails."""
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self._outputs["EndpointName"],
                TargetModel=self._outputs["ChurnModel"],
                ContentType="text/csv",
                Body="3,95.5,5",
            )
        except ClientError as error:
            return error.response["Error"]["Code"]
        return str(json.loads(answer["Body"].read())["leaves"][0])

    def _run(self) -> None:
        # the pause is no wait for anything: it leaves the servers some of the machine
        while not self._over.wait(0.2):
            self.answers[self.call()] += 1


@dataclass
class Release:
    """What came of one.

    Attributes:
        deployed: Whether the CDK CLI was content.
        answers: What callers got meanwhile.
        stages: What SageMaker said of the update: what it did, and the share of the traffic at the new fleet.
        endpoint: The endpoint afterwards, as SageMaker describes it.
        answer: What the model answers then.
    """

    deployed: bool
    answers: Counter[str]
    stages: set[tuple[str, str]]
    endpoint: dict[str, Any]
    answer: str


class Releases:
    """A copy of the app, whose program is changed and deployed twice."""

    def __init__(self, aws: LocalEndpoint, cdk: Callable[..., Any], app: Path) -> None:
        self.aws = aws
        self._cdk = cdk
        self._app = app
        assert self._deploy(0).returncode == 0
        (stack,) = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        self._outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.good = self._release("DIGITS = 3", "DIGITS = 5", wait=6)
        # an alarm ends this wait
        self.bad = self._release("round(float(value)", "round(float(valeu)", wait=500)

    def _release(self, old: str, new: str, *, wait: int) -> Release:
        program = self._app / "code" / "inference.py"
        program.write_text(program.read_text().replace(old, new))
        stages = set()
        with Traffic(self.aws, self._outputs) as traffic, ThreadPoolExecutor(1) as pool:
            deployment = pool.submit(self._deploy, wait)
            while not deployment.done():
                pending = self._endpoint().get("PendingDeploymentSummary")
                if pending is not None:
                    status = pending["ProductionVariants"][0]["VariantStatus"][0]
                    stages.add((status["Status"], status["StatusMessage"].partition(" ")[0]))
                time.sleep(0.5)
        deployed = deployment.result().returncode == 0
        return Release(deployed, traffic.answers, stages, self._endpoint(), traffic.call())

    def _endpoint(self) -> dict[str, Any]:
        name = self._outputs["EndpointName"]
        described: dict[str, Any] = self.aws.client("sagemaker").describe_endpoint(EndpointName=name)
        return described

    def _deploy(self, wait: int) -> Any:
        return self._cdk("deploy", "--require-approval", "never", "--context", f"wait={wait}", cwd=self._app)


@pytest.fixture(scope="module")
def releases(
    aws: LocalEndpoint, cdk: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Releases]:
    app = tmp_path_factory.mktemp("canary") / "app"
    yield Releases(aws, cdk, shutil.copytree(HERE, app, ignore=shutil.ignore_patterns("cdk.out")))
    aws.client("cloudformation").delete_stack(StackName=STACK)


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_a_good_release_goes_through_a_canary_and_no_call_fails(releases: Releases) -> None:
    good = releases.good
    assert good.deployed
    assert ("Baking", "50%") in good.stages
    assert set(good.answers) <= {FIRST, BETTER}
    assert good.answer == BETTER
    assert "FailureReason" not in good.endpoint


def test_a_bad_release_is_taken_back_while_half_of_the_calls_fail(releases: Releases) -> None:
    good, bad = releases.good, releases.bad
    assert not bad.deployed
    assert ("Baking", "50%") in bad.stages
    assert ("Baking", "100%") not in bad.stages
    assert set(bad.answers) == {BETTER, "ModelError"}
    assert bad.answer == BETTER
    assert bad.endpoint["EndpointStatus"] == "InService"
    assert bad.endpoint["EndpointConfigName"] == good.endpoint["EndpointConfigName"]
    assert "5XX" in bad.endpoint["FailureReason"]


def test_cloudformation_takes_the_stack_back_with_it(releases: Releases) -> None:
    stacks = releases.aws.client("cloudformation")
    assert stacks.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    events = stacks.describe_stack_events(StackName=STACK)["StackEvents"]
    (failure,) = [event for event in events if event["ResourceStatus"] == "UPDATE_FAILED"]
    assert failure["ResourceType"] == "AWS::SageMaker::Endpoint"
    assert "5XX" in failure["ResourceStatusReason"]
    made = {each["PhysicalResourceId"] for each in events if each["ResourceType"] == "AWS::SageMaker::EndpointConfig"}
    configs = releases.aws.client("sagemaker").list_endpoint_configs()["EndpointConfigs"]
    left = [config["EndpointConfigName"] for config in configs if config["EndpointConfigArn"] in made]
    assert left == [releases.bad.endpoint["EndpointConfigName"]]
