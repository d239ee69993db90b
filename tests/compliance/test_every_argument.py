"""An endpoint with every argument renders nothing of which ``docs/properties.md`` says that it is not there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import (
    CoreDump,
    DataCapture,
    DeploymentPolicy,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
    RoutingStrategy,
)
from cdk_multi_model_endpoint._variants.variant import VariantOptions

IMAGE = InferenceImage.from_uri("123456789012.dkr.ecr.us-west-2.amazonaws.com/own:1")
SHARED: dict[str, Any] = {"image": IMAGE, "environment": {"A": "b"}}
MINUTE = cdk.Duration.minutes(1)
DEPLOYMENTS = {
    "all at once": DeploymentPolicy.all_at_once(termination_wait=MINUTE),
    "canary": DeploymentPolicy.canary(wait=MINUTE, percent=50),
    "linear": DeploymentPolicy.linear(wait=MINUTE, percent=50),
    "rolling": DeploymentPolicy.rolling(wait=MINUTE, percent=50),
}


@pytest.fixture
def stack() -> cdk.Stack:
    return cdk.Stack(cdk.App(), "Stack")


def of_the_container(stack: cdk.Stack) -> dict[str, Any]:
    return {
        **SHARED,
        "model_store": ModelStore(stack, "Models"),
        "model_cache": False,
        "container_hostname": "models",
    }


def of_a_neighbour(name: str) -> dict[str, Any]:
    return {**SHARED, "model_data_url": "s3://bucket/key.tar.gz", "container_hostname": name}


def of_the_endpoint(stack: cdk.Stack) -> dict[str, Any]:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "bucket")
    vpc = ec2.Vpc(stack, "Vpc")
    return {
        "container": MultiModelContainer(**of_the_container(stack)),
        "preprocessors": [PipelineContainer(**of_a_neighbour("before"))],
        "postprocessors": [PipelineContainer(**of_a_neighbour("after"))],
        "instance_type": "ml.m5.xlarge",
        "initial_instance_count": 3,
        "variant_name": "Blue",
        "initial_variant_weight": 2,
        "role": iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com")),
        "vpc": vpc,
        "vpc_subnets": ec2.SubnetSelection(subnets=vpc.private_subnets),
        "allow_all_outbound": False,
        "network_isolation": True,
        "encryption_key": kms.Key(stack, "Key"),
        "data_capture": DataCapture(bucket=bucket),
        "clarify_explainer": sagemaker.CfnEndpointConfig.ClarifyExplainerConfigProperty(
            shap_config=sagemaker.CfnEndpointConfig.ClarifyShapConfigProperty(
                shap_baseline_config=sagemaker.CfnEndpointConfig.ClarifyShapBaselineConfigProperty(shap_baseline="0")
            )
        ),
        "retain_variant_properties": True,
        "log_retention": logs.RetentionDays.ONE_WEEK,
        "log_removal_policy": cdk.RemovalPolicy.DESTROY,
        "endpoint_name": "everything",
        "container_startup_health_check_timeout": MINUTE,
        "core_dump": CoreDump(bucket=bucket),
        "enable_ssm_access": True,
        "inference_ami_version": "al2-ami-sagemaker-inference-gpu-3-1",
        "model_data_download_timeout": MINUTE,
        "routing_strategy": RoutingStrategy.RANDOM,
        "volume_size": cdk.Size.gibibytes(64),
    }


def paths(value: Any, path: str) -> Iterator[str]:
    """The paths of all properties that a template gives."""
    match value:
        case Mapping():
            for name, item in value.items():
                yield f"{path}{name}"
                yield from paths(item, f"{path}{name}.")
        case list():
            for item in value:
                yield from paths(item, path)


def names(function: Callable[..., object]) -> set[str]:
    return {*inspect.signature(function).parameters}


def test_no_argument_is_left_out(stack: cdk.Stack) -> None:
    given = of_the_endpoint(stack)
    expected = names(MultiModelEndpoint.__init__) - {"self", "scope", "construct_id", "options"}
    # the first does not go with allow_all_outbound; the second is given by the test below
    assert {*given} == (expected | {*get_type_hints(VariantOptions)}) - {"security_groups", "deployment"}
    # a program sets variables of the container, and does not go with network_isolation
    program = {"source_directory", "entry_point"}
    assert {*of_the_container(cdk.Stack(cdk.App(), "Other"))} == names(MultiModelContainer) - program
    assert {*of_a_neighbour("any")} == names(PipelineContainer)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_it_renders_nothing_that_is_said_to_be_not_there(
    stack: cdk.Stack, property_tables: dict[str, dict[str, str]], deployment: str
) -> None:
    MultiModelEndpoint(stack, "Endpoint", deployment=DEPLOYMENTS[deployment], **of_the_endpoint(stack))
    template = Template.from_stack(stack)
    for resource_type, rows in property_tables.items():
        (found,) = template.find_resources(resource_type).values()
        absent = {row for row, text in rows.items() if text.startswith(("not there", "never set"))}
        assert absent & {*paths(found["Properties"], "")} == set()
