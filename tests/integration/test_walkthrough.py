"""AWS's guide makes these endpoints with boto3; what comes of our construct is the same, names and role apart."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import botocore.exceptions
import pytest
from aws_cdk.assertions import Template

from .conftest import Account
from .walkthrough import BUCKET, MULTI_MODEL, REGION, STACK, WALKS, Walk, make_stack

ROLE = "arn:aws:iam::000000000000:role/Walkthrough"
OWN = {
    *("ResponseMetadata", "CreationTime", "LastModifiedTime"),
    *("ModelName", "ModelArn", "ExecutionRoleArn"),
    *("EndpointConfigName", "EndpointConfigArn", "EndpointName", "EndpointArn"),
}


@pytest.fixture(scope="module")
def account(make_account: Callable[[str], Account]) -> Account:
    """An account with our construct's endpoints."""
    account = make_account(REGION)
    account.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    here = Path(__file__).parent
    account.deploy("--app", f"{sys.executable} {here / 'walkthrough.py'}", cwd=here)
    return account


@pytest.fixture(scope="module")
def template() -> Template:
    return Template.from_stack(make_stack(cdk.App()))


def walk_by_hand(sagemaker: Any, name: str, walk: Walk) -> None:
    """The guide's three calls."""
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=walk.containers)
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{**walk.variant, "ModelName": name}])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def comparable(described: Any) -> Any:
    """A description without names, role and times, and with the default cache setting spelled out."""
    if isinstance(described, list):
        return [comparable(value) for value in described]
    if not isinstance(described, dict):
        return described
    result = {key: comparable(value) for key, value in described.items() if key not in OWN}
    if result.get("Mode") == "MultiModel":
        result.setdefault("MultiModelConfig", {"ModelCacheSetting": "Enabled"})
    if "SpecifiedImage" in result:
        del result["ResolutionTime"]
    return result


def describe(sagemaker: Any, endpoint_name: str) -> list[Any]:
    endpoint = sagemaker.describe_endpoint(EndpointName=endpoint_name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    return [comparable(found) for found in (endpoint, config, model)]


@pytest.mark.parametrize("name", WALKS)
def test_descriptions_are_the_same(account: Account, name: str) -> None:
    sagemaker = account.client("sagemaker")
    walk_by_hand(sagemaker, f"by-hand-{name}", WALKS[name])
    ours = account.outputs(STACK)[f"{name}EndpointName"]
    assert describe(sagemaker, ours) == describe(sagemaker, f"by-hand-{name}")


@pytest.mark.parametrize("name", WALKS)
def test_template_has_the_guides_arguments(template: Template, name: str) -> None:
    resources = template.to_json()["Resources"]

    def properties(resource_type: str) -> dict[str, Any]:
        (found,) = [
            resource["Properties"]
            for logical_id, resource in resources.items()
            if resource["Type"] == resource_type and logical_id.startswith(name)
        ]
        result: dict[str, Any] = found
        return result

    walk = WALKS[name]
    assert comparable(properties("AWS::SageMaker::Model")) == {"Containers": comparable(walk.containers)}
    (variant,) = properties("AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    assert comparable(variant) == walk.variant
    assert set(properties("AWS::SageMaker::Endpoint")) == {"EndpointName", "EndpointConfigName"}


def test_a_second_multi_model_container_is_refused_by_the_service_too(account: Account) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="ore than one container in MultiModel mode"):
        account.client("sagemaker").create_model(
            ModelName="two", ExecutionRoleArn=ROLE, Containers=[MULTI_MODEL, MULTI_MODEL]
        )
