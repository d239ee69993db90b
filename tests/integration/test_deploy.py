"""Both stacks, deployed, changed and destroyed by the real CDK CLI, as the APIs describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Account

STACKS = ("CpuMultiModelStack", "GpuTritonMultiModelStack")


def describe(account: Account, stack: str) -> dict[str, Any]:
    sagemaker = account.client("sagemaker")
    outputs = account.outputs(stack)
    endpoint = sagemaker.describe_endpoint(EndpointName=outputs["EndpointName"])
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    bucket, _, prefix = outputs["ModelStoreUrl"].removeprefix("s3://").partition("/")
    listing = account.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"].removeprefix(prefix) for item in listing["Contents"]]
    return {"outputs": outputs, "endpoint": endpoint, "variant": variant, "model": model, "keys": keys}


def instance_count(described: dict[str, Any]) -> int:
    count: int = described["endpoint"]["ProductionVariants"][0]["CurrentInstanceCount"]
    return count


@pytest.fixture(scope="module")
def account(start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Account]:
    """An account of its own, of which nothing is to be left, bootstrapped by the CLI."""
    local = start_local(tmp_path_factory.mktemp("local") / "log.txt", "--no-servers")
    account = Account(local, "us-east-1", tmp_path_factory.mktemp("cdk.out"))
    account.cdk("bootstrap", "aws://000000000000/us-east-1", cwd=root)
    yield account
    local.stop()


@pytest.fixture(scope="module")
def story(account: Account, root: Path, eventually: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """What there was after each step."""
    account.deploy(cwd=root)
    deployed = {stack: describe(account, stack) for stack in STACKS}
    account.deploy("--context", "instance_count=3", "--context", "deployment_wait=0", cwd=root)
    for stack in STACKS:
        # the update keeps the live count; the scaling's new minimum raises it
        eventually(lambda stack=stack: instance_count(describe(account, stack)) == 3)
    changed = {stack: describe(account, stack) for stack in STACKS}
    account.cdk("destroy", "--all", "--force", cwd=root)
    return {"deployed": deployed, "changed": changed}


@pytest.mark.parametrize("stack", STACKS)
def test_endpoint_is_in_service(story: dict[str, Any], stack: str) -> None:
    found = story["deployed"][stack]
    assert found["endpoint"]["EndpointStatus"] == "InService"
    (variant,) = found["endpoint"]["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"] == 2
    (container,) = found["model"]["Containers"]
    assert container["Mode"] == "MultiModel"
    assert container["ModelDataUrl"] == found["outputs"]["ModelStoreUrl"]
    assert found["model"]["ExecutionRoleArn"].startswith("arn:aws:iam::000000000000:role/")


def test_images_and_instances_are_the_stacks(story: dict[str, Any]) -> None:
    cpu, gpu = (story["deployed"][stack] for stack in STACKS)
    assert cpu["variant"]["InstanceType"] == "ml.m5.xlarge"
    assert gpu["variant"]["InstanceType"] == "ml.g4dn.4xlarge"
    assert cpu["model"]["Containers"][0]["Image"] == (
        "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"
    )
    assert gpu["model"]["Containers"][0]["Image"] == (
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/sagemaker-tritonserver:26.05-py3"
    )


@pytest.mark.parametrize("stack", STACKS)
def test_models_are_under_the_prefix(story: dict[str, Any], stack: str) -> None:
    found = story["deployed"][stack]
    assert len(found["keys"]) == 2
    assert sorted(found["keys"]) == sorted(found["outputs"]["TargetModels"].split(","))


@pytest.mark.parametrize("stack", STACKS)
def test_a_change_is_a_new_configuration_of_the_same_endpoint(story: dict[str, Any], stack: str) -> None:
    before, after = story["deployed"][stack], story["changed"][stack]
    assert after["endpoint"]["EndpointArn"] == before["endpoint"]["EndpointArn"]
    assert after["endpoint"]["CreationTime"] == before["endpoint"]["CreationTime"]
    assert after["endpoint"]["EndpointConfigName"] != before["endpoint"]["EndpointConfigName"]
    assert instance_count(after) == 3
    assert after["model"]["ModelArn"] == before["model"]["ModelArn"]
    assert after["model"]["CreationTime"] == before["model"]["CreationTime"]


def test_destroy_leaves_nothing_but_the_stores(story: dict[str, Any], account: Account) -> None:
    sagemaker = account.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    stores = {story["deployed"][stack]["outputs"]["ModelStoreUrl"].split("/")[2] for stack in STACKS}
    buckets = {bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]}
    assert {name for name in buckets if not name.startswith("cdk-")} == stores
    for name in stores:
        assert account.client("s3").list_objects_v2(Bucket=name)["KeyCount"] == 2
    stacks = account.client("cloudformation").describe_stacks()["Stacks"]
    assert {found["StackName"] for found in stacks} == {"CDKToolkit"}
    assert not [
        role["RoleName"]
        for role in account.client("iam").list_roles()["Roles"]
        if not role["RoleName"].startswith("cdk-")
    ]
    scaling = account.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert account.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    groups = account.client("logs").describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]
    assert groups == []
    assert account.client("cloudwatch").list_dashboards()["DashboardEntries"] == []
    assert account.client("lambda").list_functions()["Functions"] == []
    assert account.client("logs").describe_log_groups()["logGroups"] == []
