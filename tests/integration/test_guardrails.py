"""A canary deployment by a stack update, really served and under traffic: once to its end, once back by an alarm."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

STACK = "Guarded"
ENDPOINT = "guarded"
ALARM = "guarded-invocations"
BUCKET = "guarded-models"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
WAIT = 6
DEPLOYMENT_SECONDS = 120


def template(version: str, threshold: int) -> str:
    """A stack whose alarm counts what the newest fleet answers."""
    model = {
        "Image": IMAGE,
        "Mode": "MultiModel",
        "ModelDataUrl": f"s3://{BUCKET}/models/",
        "Environment": {"VERSION": version},
    }
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 1,
    }
    alarm = {
        "AlarmName": ALARM,
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocations",
        "Dimensions": [
            {"Name": "EndpointName", "Value": ENDPOINT},
            {"Name": "VariantName", "Value": "AllTraffic"},
            {"Name": "EndpointConfigName", "Value": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
        ],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "TreatMissingData": "notBreaching",
    }
    routing = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": WAIT,
    }
    deployment = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 2},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM}]},
    }
    endpoint = {
        "EndpointName": ENDPOINT,
        "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
        "DeploymentConfig": deployment,
    }
    resources = {
        "Model": {"Type": "AWS::SageMaker::Model", "Properties": {"Containers": [model]}},
        "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {"ProductionVariants": [variant]}},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
        "Endpoint": {"Type": "AWS::SageMaker::Endpoint", "Properties": endpoint, "DependsOn": "Alarm"},
    }
    return json.dumps({"Resources": resources})


class Traffic:
    """Calls of one model after the other, until the end of the block."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.outcomes: Counter[str] = Counter()

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        # the pause is no wait for anything: it leaves the servers some of the machine
        while not self._over.wait(0.02):
            try:
                invoke(self._runtime)
                self.outcomes["answered"] += 1
            except (BotoCoreError, ClientError) as error:
                self.outcomes[str(error)] += 1


def invoke(runtime: Any) -> None:
    answer = runtime.invoke_endpoint(
        EndpointName=ENDPOINT, TargetModel="house-price.tar.gz", Body="120,4,15,3.5", ContentType="text/csv"
    )
    with answer["Body"] as body:
        assert body.read()


class Story:
    """What happened in each of the two updates."""

    def __init__(self, local: Any, eventually: Callable[..., Any]) -> None:
        self.local = local
        self.sagemaker = local.client("sagemaker")
        self.stacks = local.client("cloudformation")
        self._eventually = eventually
        self.first = self.described()
        self.updated = self.update("2", 10**9)
        self.back = self.update("3", 0)

    def described(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
        return answer

    def status(self) -> str:
        return str(self.stacks.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"])

    def update(self, version: str, threshold: int) -> dict[str, Any]:
        stages: list[tuple[str, str]] = []

        def over() -> str | None:
            pending = self.described().get("PendingDeploymentSummary")
            if pending is not None:
                status = pending["ProductionVariants"][0]["VariantStatus"][0]
                stage = (status["Status"], status["StatusMessage"].partition(" ")[0])
                if stage not in stages:
                    stages.append(stage)
            status = self.status()
            return None if status.endswith("IN_PROGRESS") else status

        with Traffic(self.local.client("sagemaker-runtime", read_timeout=70)) as traffic:
            self.stacks.update_stack(StackName=STACK, TemplateBody=template(version, threshold))
            status = self._eventually(over, DEPLOYMENT_SECONDS)
        return {"status": status, "endpoint": self.described(), "outcomes": traffic.outcomes, "stages": stages}


@pytest.fixture(scope="module")
def story(
    start_local: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
    root: Path,
    eventually: Callable[..., Any],
) -> Iterator[Story]:
    local = start_local(tmp_path_factory.mktemp("guarded") / "log.txt")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(root / "stacks" / "models" / "xgboost" / "house-price" / "xgboost-model", "xgboost-model")
    s3 = local.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="models/house-price.tar.gz", Body=archive.getvalue())
    stacks = local.client("cloudformation")
    stacks.create_stack(StackName=STACK, TemplateBody=template("1", 10**9))
    stacks.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    yield Story(local, eventually)
    local.stop()


def test_a_canary_goes_through_its_stages(story: Story) -> None:
    updated = story.updated
    assert updated["status"] == "UPDATE_COMPLETE"
    assert ("Baking", "50%") in updated["stages"]
    assert ("Baking", "100%") in updated["stages"]
    assert updated["endpoint"]["EndpointStatus"] == "InService"
    assert updated["endpoint"]["EndpointConfigName"] != story.first["EndpointConfigName"]
    assert "FailureReason" not in updated["endpoint"]


def test_an_alarm_of_the_new_fleet_rolls_the_endpoint_and_the_stack_back(story: Story) -> None:
    back = story.back
    assert back["status"] == "UPDATE_ROLLBACK_COMPLETE"
    assert ("Baking", "50%") in back["stages"]
    assert ("Baking", "100%") not in back["stages"]
    assert back["endpoint"]["EndpointStatus"] == "InService"
    assert back["endpoint"]["EndpointConfigName"] == story.updated["endpoint"]["EndpointConfigName"]
    assert ALARM in back["endpoint"]["FailureReason"]
    events = story.stacks.describe_stack_events(StackName=STACK)["StackEvents"]
    failures = [event for event in events if event["ResourceStatus"] == "UPDATE_FAILED"]
    assert [event["LogicalResourceId"] for event in failures] == ["Endpoint"]
    assert ALARM in failures[0]["ResourceStatusReason"]
    configs = story.sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert [config["EndpointConfigName"] for config in configs] == [back["endpoint"]["EndpointConfigName"]]


@pytest.mark.parametrize("step", ["updated", "back"])
def test_no_request_fails_meanwhile(story: Story, step: str) -> None:
    outcomes = getattr(story, step)["outcomes"]
    assert set(outcomes) == {"answered"}
    assert outcomes.total() > 50


def test_the_old_fleet_goes_on_answering(story: Story) -> None:
    runtime = story.local.client("sagemaker-runtime", read_timeout=70)
    for _ in range(5):
        invoke(runtime)
