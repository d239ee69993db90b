"""The 31 rules of a multi-model endpoint, by number, as an endpoint meets them.

Rules 1 to 31 are those collected from AWS's documentation and service models when this library was designed; each is an
error, a warning, or can't be broken with this API. The rules alone, with tokens, are in ``test_validation`` and
``test_warnings``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match

from cdk_multi_model_endpoint import (
    DataCapture,
    DeploymentPolicy,
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    PipelineContainer,
    RoutingStrategy,
)

from .conftest import MakeEndpoint

KNN = InferenceImage.built_in("knn")
TRITON = InferenceImage.triton("24.09")
MINUTE = cdk.Duration.minutes(1)
Break = Callable[[cdk.Stack, MakeEndpoint], object]

ERRORS: dict[int, list[tuple[Break, str]]] = {
    1: [(lambda s, m: ModelStore(s, "Store", prefix="models/model.tar.gz"), "must be a prefix that holds many models")],
    5: [
        (lambda s, m: m(preprocessors=[PipelineContainer(image=KNN)] * 15), "at most 15 containers"),
        (lambda s, m: m(preprocessors=[second(s)]), "one multi-model container"),
    ],
    6: [
        (lambda s, m: m(postprocessors=[PipelineContainer(image=KNN, container_hostname="a")]), "for all 2 containers")
    ],
    8: [(lambda s, m: m(instance_type="m5.large"), "must be a SageMaker instance type")],
    9: [(lambda s, m: m(instance_type="ml.inf2.xlarge"), "don't run on Inferentia")],
    11: [(lambda s, m: m(instance_type="ml.m6g.large"), "arm64 processors, but the image is built for x86_64")],
    12: [
        (
            lambda s, m: m(instance_type="ml.g4dn.xlarge", image=TRITON, encryption_key=kms.Key(s, "Key")),
            "encryption_key must not be given",
        )
    ],
    13: [(lambda s, m: m(volume_size=cdk.Size.gibibytes(513)), "volume_size must be 1 to 512 GiB")],
    14: [
        (lambda s, m: m(model_data_download_timeout=cdk.Duration.seconds(59)), "must be 60 to 3600 seconds"),
        (lambda s, m: m(container_startup_health_check_timeout=cdk.Duration.hours(2)), "must be 60 to 3600 seconds"),
    ],
    15: [(lambda s, m: m(initial_instance_count=0), "initial_instance_count must be at least 1")],
    16: [(lambda s, m: m(initial_variant_weight=-1), "initial_variant_weight must be at least 0")],
    17: [
        (lambda s, m: m(variant_name="all_traffic"), "variant_name must be"),
        (
            lambda s, m: [
                m(construct_id="E").add_variant("AllTraffic", instance_type="ml.m5.large", initial_variant_weight=1)
            ],
            "variant_name must be unique",
        ),
    ],
    21: [
        (lambda s, m: m(deployment=DeploymentPolicy.canary(percent=60, wait=MINUTE)), "must be 1 to 50 percent"),
        (lambda s, m: m(deployment=DeploymentPolicy.canary(wait=MINUTE)), "needs either percent or instances"),
        (lambda s, m: m(construct_id="E").add_rollback_alarms(), "1 to 10 rollback alarms"),
    ],
    23: [
        (lambda s, m: m(environment={"SAGEMAKER_MULTI_MODEL": "true"}), "must not set SAGEMAKER_MULTI_MODEL"),
        (lambda s, m: m(environment={"a-b": "c"}), "don't start with a digit"),
    ],
    24: [(lambda s, m: m(vpc=ec2.Vpc(s, "Vpc"), security_groups=[]), "security_groups must be 1 to 5")],
    25: [(lambda s, m: m(endpoint_name="a" * 64), "endpoint_name must be 1 to 63")],
    27: [
        (
            lambda s, m: m().default_variant.auto_scale_instance_count(min_capacity=3, max_capacity=2),
            "min_capacity must be at most max_capacity",
        ),
        (
            lambda s, m: (
                m()
                .default_variant.auto_scale_instance_count(max_capacity=2)
                .scale_on_cpu_utilization("Cpu", target_utilization_percent=0)
            ),
            "above 0",
        ),
    ],
    29: [
        (
            lambda s, m: m().grant_invoke(
                iam.Role(s, "R", assumed_by=iam.AccountRootPrincipal()), target_models=["/a"]
            ),
            "relative to the store's prefix",
        )
    ],
}

WARNINGS: dict[int, list[tuple[Break, str]]] = {
    7: [(lambda s, m: m(image=InferenceImage.from_dlc("tensorflow-inference", "2.19.0-gpu")), "imageNotMultiModel")],
    8: [(lambda s, m: m(instance_type="ml.new9.large"), "unknownInstanceType")],
    9: [
        (lambda s, m: m(instance_type="ml.g6.xlarge", image=TRITON), "undocumentedGpuInstanceType"),
        (lambda s, m: m(instance_type="ml.g5.12xlarge", image=TRITON), "multiGpuInstanceType"),
    ],
    10: [(lambda s, m: m(instance_type="ml.g4dn.xlarge"), "gpuImageNotTriton")],
    13: [
        (
            lambda s, m: m(instance_type="ml.m5d.large", volume_size=cdk.Size.gibibytes(9)),
            "volumeSizeOnLocalStorage",
        )
    ],
    15: [(lambda s, m: m(initial_instance_count=1), "singleInstance")],
    20: [
        (
            lambda s, m: m(data_capture=DataCapture(bucket=s3.Bucket.from_bucket_name(s, "B", "bucket"))),
            "dataCaptureUndocumented",
        )
    ],
    22: [
        (
            lambda s, m: m(deployment=DeploymentPolicy.linear(percent=50, wait=MINUTE)),
            "deploymentPolicyUndocumented",
        )
    ],
    30: [
        (
            lambda s, m: m(instance_type="ml.g4dn.xlarge", image=InferenceImage.triton("25.09")),
            "inferenceAmiVersionNeeded",
        )
    ],
    31: [(lambda s, m: m(routing_strategy=RoutingStrategy.RANDOM), "routingStrategyUndocumented")],
}

# What no argument renders, by the property that would break the rule; the reasons are in docs/properties.md
NOT_THERE = {
    2: ["Model/Containers.ModelDataSource"],
    3: ["Model/Containers.ModelPackageName", "Model/Containers.InferenceSpecificationName"],
    4: ["Model/PrimaryContainer"],
    18: ["EndpointConfig/ProductionVariants.ServerlessConfig", "EndpointConfig/AsyncInferenceConfig"],
    19: ["EndpointConfig/ShadowProductionVariants"],
    26: ["Model/ModelName", "EndpointConfig/EndpointConfigName"],
    31: [
        "EndpointConfig/ProductionVariants.InstancePools",
        "EndpointConfig/ProductionVariants.ManagedInstanceScaling",
    ],
}


def second(stack: cdk.Stack) -> Any:
    return MultiModelContainer(image=KNN, model_store=ModelStore(stack, "Second"))


def cases(table: dict[int, list[tuple[Break, str]]]) -> list[Any]:
    return [
        pytest.param(rule_break, text, id=f"rule-{number}-{index}")
        for number, rules in table.items()
        for index, (rule_break, text) in enumerate(rules)
    ]


@pytest.mark.parametrize(("rule_break", "message"), cases(ERRORS))
def test_error(stack: cdk.Stack, make_endpoint: MakeEndpoint, rule_break: Break, message: str) -> None:
    with pytest.raises(InvalidEndpointError, match=message):
        rule_break(stack, make_endpoint)


@pytest.mark.parametrize(("rule_break", "warning_id"), cases(WARNINGS))
def test_warning(stack: cdk.Stack, make_endpoint: MakeEndpoint, rule_break: Break, warning_id: str) -> None:
    rule_break(stack, make_endpoint)
    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp(warning_id))
    assert len(found) == 1


@pytest.mark.parametrize("path", [path for paths in NOT_THERE.values() for path in paths])
def test_the_property_that_would_break_it_is_not_there(property_tables: dict[str, dict[str, str]], path: str) -> None:
    """Nor is it rendered: ``tests/compliance/test_properties.py`` holds endpoints against the page."""
    kind, _, name = path.partition("/")
    assert property_tables[f"AWS::SageMaker::{kind}"][name].startswith(("not there", "never set"))


def test_no_rule_is_forgotten() -> None:
    elsewhere = {28}  # metrics have no dimension of the model: test_metrics
    assert {*ERRORS, *WARNINGS, *NOT_THERE, *elsewhere} == set(range(1, 32))
