"""Scaling on real traffic: a really served endpoint gets a second instance, and loses it when it is quiet again."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ENDPOINT = "busy"
VARIANT = "AllTraffic"
MODEL = "house-price"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
TARGET_VALUE = 30
INVOCATIONS = 50
ADDRESS = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{ENDPOINT}/variant/{VARIANT}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


@pytest.fixture(scope="module")
def local(start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Any]:
    """A local endpoint that serves one model on one instance, and may scale to three."""
    local = start_local(tmp_path_factory.mktemp("local") / "log.txt")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(root / "stacks" / "models" / "xgboost" / MODEL, arcname=".")
    s3, sagemaker, iam = (local.client(service) for service in ("s3", "sagemaker", "iam"))
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key=f"all/{MODEL}.tar.gz", Body=archive.getvalue())
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="Models", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    container = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://models/all/"}
    sagemaker.create_model(ModelName="M", ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": VARIANT, "ModelName": "M", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="C", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="C")
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    yield local
    local.stop()


def test_the_count_follows_the_traffic(local: Any, eventually: Callable[..., Any], root: Path) -> None:
    samples = json.loads((root / "stacks" / "models" / "samples.json").read_text(encoding="utf-8"))
    (sample,) = (sample for sample in samples if sample["model"] == MODEL)
    scaling, sagemaker, runtime = (
        local.client(service) for service in ("application-autoscaling", "sagemaker", "sagemaker-runtime")
    )

    def invoke() -> int:
        answer = runtime.invoke_endpoint(
            EndpointName=ENDPOINT, TargetModel=f"{MODEL}.tar.gz", ContentType="text/csv", Body=sample["body"]
        )
        status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
        return status

    def settled(count: int) -> bool:
        described = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
        (variant,) = described["ProductionVariants"]
        return (described["EndpointStatus"], variant["CurrentInstanceCount"]) == ("InService", count)

    scaling.register_scalable_target(**ADDRESS, MinCapacity=1, MaxCapacity=3)
    scaling.put_scaling_policy(
        **ADDRESS,
        PolicyName="Load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": TARGET_VALUE,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleOutCooldown": 5,
            "ScaleInCooldown": 5,
        },
    )
    assert {invoke() for _ in range(INVOCATIONS)} == {200}
    # delivered to CloudWatch within ten seconds, looked at every five, and a second server starts
    eventually(lambda: settled(2), seconds=60)
    # the minute with the traffic has to be over
    eventually(lambda: settled(1), seconds=120)
    assert invoke() == 200
    activities = scaling.describe_scaling_activities(**ADDRESS)["ScalingActivities"]
    assert [activity["StatusCode"] for activity in activities] == ["Successful", "Successful"]
    assert [activity["Description"] for activity in activities] == [
        "Setting desired instance count to 1.",
        "Setting desired instance count to 2.",
    ]
