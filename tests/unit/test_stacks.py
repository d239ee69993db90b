"""The stacks' CDK context: what users change without editing code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from stacks import CpuMultiModelStack, GpuTritonMultiModelStack

from .conftest import only_variant, resource

URI = "123456789012.dkr.ecr.us-west-2.amazonaws.com/server:1"


def synthesize(stack: type[cdk.Stack] = CpuMultiModelStack, **context: Any) -> Template:
    return Template.from_stack(stack(cdk.App(context=context), "Stack"))


def test_defaults() -> None:
    cpu, gpu = synthesize(), synthesize(GpuTritonMultiModelStack)
    assert only_variant(cpu)["InstanceType"] == "ml.m5.xlarge"
    assert only_variant(gpu)["InstanceType"] == "ml.g4dn.4xlarge"
    assert only_variant(cpu)["InitialInstanceCount"] == only_variant(gpu)["InitialInstanceCount"] == 2
    for template in (cpu, gpu):
        assert set(template.find_outputs("*")) == {"EndpointName", "ModelStoreUrl", "TargetModels"}
        template.resource_count_is("Custom::AWS", 2)


@pytest.mark.parametrize("count", [3, "3"])
def test_instances(count: int | str) -> None:
    found = only_variant(synthesize(instance_type="ml.c5.large", instance_count=count))
    assert found["InstanceType"] == "ml.c5.large"
    assert found["InitialInstanceCount"] == 3


def test_a_stacks_own_key_wins() -> None:
    context: dict[str, Any] = {"instance_type": "ml.c5.large", "gpu.instance_type": "ml.g5.xlarge"}
    assert only_variant(synthesize(**context))["InstanceType"] == "ml.c5.large"
    assert only_variant(synthesize(GpuTritonMultiModelStack, **context))["InstanceType"] == "ml.g5.xlarge"


@pytest.mark.parametrize(("value", "setting"), [("false", "Disabled"), (False, "Disabled"), ("true", "Enabled")])
def test_model_cache(value: str | bool, setting: str) -> None:
    (container,) = resource(synthesize(model_cache=value), "AWS::SageMaker::Model")["Containers"]
    assert container["MultiModelConfig"]["ModelCacheSetting"] == setting


@pytest.mark.parametrize(("context", "isolated"), [({}, True), ({"network_isolation": "false"}, None)])
def test_network_isolation(context: dict[str, Any], isolated: bool | None) -> None:
    assert resource(synthesize(**context), "AWS::SageMaker::Model").get("EnableNetworkIsolation") is isolated


def test_alarm_topic() -> None:
    topic = "arn:aws:sns:us-west-2:123456789012:alarms"
    for alarm in synthesize(alarm_topic=topic).find_resources("AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == [topic]


def test_image_bucket_and_prefix() -> None:
    template = synthesize(image=URI, bucket="existing", prefix="team/models")
    (container,) = resource(template, "AWS::SageMaker::Model")["Containers"]
    assert container["Image"] == URI
    assert container["ModelDataUrl"] == "s3://existing/team/models/"
    template.resource_count_is("AWS::S3::Bucket", 0)
    assert "s3:::existing/team/models/*" in json.dumps(template.find_resources("AWS::IAM::Policy"))


def test_stacks_look_no_hidden_construct_up(root: Path) -> None:
    """Users copy them."""
    sources = "".join(source.read_text() for source in (root / "stacks").glob("*.py"))
    assert "find_child" not in sources
    assert ".children" not in sources
