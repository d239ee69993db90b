"""Every option of a variant reaches the template, the API takes it, and it is an option of further variants, too."""

from __future__ import annotations

from typing import Any, get_type_hints

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import (
    CoreDump,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    RoutingStrategy,
)
from cdk_multi_model_endpoint._variants.variant import VariantOptions
from mme_local.aws.shapes import check_request

EVERY_VARIANT_HAS = {"variant_name", "instance_type", "initial_instance_count", "initial_variant_weight"}


def options(stack: cdk.Stack) -> dict[str, Any]:
    bucket = s3.Bucket.from_bucket_name(stack, "Dumps", "dumps")
    return {
        "container_startup_health_check_timeout": cdk.Duration.minutes(2),
        "core_dump": CoreDump(bucket=bucket),
        "enable_ssm_access": True,
        "inference_ami_version": "al2-ami-sagemaker-inference-gpu-3-1",
        "model_data_download_timeout": cdk.Duration.minutes(2),
        "routing_strategy": RoutingStrategy.RANDOM,
        "volume_size": cdk.Size.gibibytes(64),
    }


NAMES = list(options(cdk.Stack(cdk.App(), "Names")))


def variants(*names: str) -> list[dict[str, Any]]:
    """A first variant with the options of these names, and one that is added with the same."""
    stack = cdk.Stack(cdk.App(), "Optional")
    given = {name: value for name, value in options(stack).items() if name in names}
    endpoint = MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(image=InferenceImage.built_in("knn"), model_store=ModelStore(stack, "Models")),
        instance_type="ml.m5.xlarge",
        **given,
    )
    endpoint.add_variant("Green", instance_type="ml.m5.xlarge", initial_variant_weight=1, **given)
    (found,) = Template.from_stack(stack).find_resources("AWS::SageMaker::EndpointConfig").values()
    made: list[dict[str, Any]] = found["Properties"]["ProductionVariants"]
    return [{**variant, "ModelName": "model", "VariantName": "any"} for variant in made]


def test_each_option_is_tested() -> None:
    assert {*NAMES} == get_type_hints(VariantOptions).keys() - EVERY_VARIANT_HAS


@pytest.mark.parametrize("name", NAMES)
def test_it_reaches_both_variants_as_the_api_takes_it(name: str) -> None:
    (plain, _), (first, second) = variants(), variants(name)
    assert first == second != plain
    check_request("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "new", "ProductionVariants": [first]})
