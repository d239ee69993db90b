"""More than one production variant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Annotations, Match, Template

from cdk_multi_model_endpoint import (
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    PipelineContainer,
)

from .conftest import MakeEndpoint, resource

KNN = InferenceImage.built_in("knn")


def variants(template: Template) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resource(template, "AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    return found


def test_shares_the_model_by_default(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    green = endpoint.add_variant("Green", instance_type="ml.c5.xlarge", initial_variant_weight=0)
    assert endpoint.variants == (endpoint.default_variant, green)
    assert endpoint.find_variant("Green") is green
    first, second = variants(Template.from_stack(stack))
    assert second == {
        "VariantName": "Green",
        "InstanceType": "ml.c5.xlarge",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 0,
        "ModelName": first["ModelName"],
    }


def test_another_container_is_another_model_with_the_same_role_and_neighbours(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, model: Path
) -> None:
    endpoint = make_endpoint(preprocessors=[PipelineContainer(image=KNN)], network_isolation=True)
    store = ModelStore(stack, "Candidates")
    uploaded = store.add_model("candidate", model)
    endpoint.add_variant(
        "Green",
        instance_type="ml.c5.xlarge",
        initial_variant_weight=0.5,
        container=MultiModelContainer(image=KNN, model_store=store),
    )
    template = Template.from_stack(stack)
    models = template.find_resources("AWS::SageMaker::Model")
    (green,) = [found for logical_id, found in models.items() if "Green" in logical_id]
    (blue,) = [found for logical_id, found in models.items() if "Green" not in logical_id]
    assert green["Properties"]["ExecutionRoleArn"] == blue["Properties"]["ExecutionRoleArn"]
    assert green["Properties"]["EnableNetworkIsolation"] is True
    assert green["Properties"]["Containers"][0] == blue["Properties"]["Containers"][0]
    assert green["Properties"]["Containers"][1]["Image"].endswith("/knn:1")
    assert any("candidate" in dependency for dependency in green["DependsOn"])
    assert not any("candidate" in dependency for dependency in blue["DependsOn"])
    assert uploaded.target_model
    first, second = variants(template)
    assert first["ModelName"] != second["ModelName"]
    waits = [{name for name in found["DependsOn"] if "ModelPolicy" in name} for found in (blue, green)]
    assert [len(policies) for policies in waits] == [1, 1]
    assert waits[0] != waits[1]


def test_the_same_reads_are_the_same_policy(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    store = ModelStore(stack, "Store")
    endpoint = make_endpoint(model_store=store, image=KNN)
    container = MultiModelContainer(image=KNN, model_store=store, model_cache=False)
    endpoint.add_variant("Green", instance_type="ml.m5.large", initial_variant_weight=1, container=container)
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy")
    assert len([key for key in policies if "ModelPolicy" in key]) == 1


def test_refuses_an_eleventh(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    for number in range(9):
        endpoint.add_variant(f"Variant{number}", instance_type="ml.m5.large", initial_variant_weight=1)
    with pytest.raises(InvalidEndpointError, match="at most 10 variants, got 11"):
        endpoint.add_variant("Last", instance_type="ml.m5.large", initial_variant_weight=1)


def test_refuses_what_the_endpoint_refuses(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError) as caught:
        make_endpoint().add_variant("a_b", instance_type="ml.inf2.xlarge", initial_variant_weight=-1)
    assert len(caught.value.problems) == 3


def test_finds_no_variant_that_is_not_there(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError, match="must be one of AllTraffic, got 'Green'"):
        make_endpoint().find_variant("Green")


def test_refuses_at_synth_that_no_variant_gets_traffic(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint(initial_variant_weight=0)
    with pytest.raises(RuntimeError, match="above 0 for at least one variant"):
        Template.from_stack(stack)
    assert endpoint.default_variant


def test_weight_zero_is_legal_beside_another_variant(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(initial_variant_weight=0).add_variant("Green", instance_type="ml.m5.large", initial_variant_weight=1)
    assert [found["InitialVariantWeight"] for found in variants(Template.from_stack(stack))] == [0, 1]


def test_warns_of_a_variants_own_faults(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().add_variant("Green", instance_type="ml.g5.12xlarge", initial_variant_weight=1)
    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("multiGpuInstanceType"))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"volume_size": cdk.Size.gibibytes(1.5)}, "volume_size must be given in whole GiB, got 1.5"),
        (
            {"volume_size": cdk.Size.mebibytes(1500)},
            "volume_size must be given in whole GiB: '1500 mebibytes' cannot be",
        ),
        (
            {"model_data_download_timeout": cdk.Duration.millis(90_500)},
            "model_data_download_timeout must be given in whole seconds: '90500 millis' cannot be",
        ),
    ],
)
def test_refuses_fractions_of_units(make_endpoint: MakeEndpoint, option: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidEndpointError) as caught:
        make_endpoint(**option)
    (found,) = caught.value.problems
    assert found.startswith(problem)


@pytest.mark.parametrize("side", ["preprocessor", "postprocessor"])
def test_refuses_a_neighbour_built_for_another_processor(make_endpoint: MakeEndpoint, side: str) -> None:
    arguments: dict[str, Any] = {
        "instance_type": "ml.m6g.xlarge",
        "image": InferenceImage.built_in("xgboost", "3.2-0", architecture="arm64"),
        f"{side}s": [PipelineContainer(image=InferenceImage.built_in("sklearn", "1.9-0"))],
    }
    with pytest.raises(InvalidEndpointError, match=f"has arm64 processors, but a {side}'s image is built for x86_64"):
        make_endpoint(**arguments)


def test_names_its_policies_for_findings_on_them(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    assert len(endpoint.model_policies) == 1
    endpoint.add_variant("Same", instance_type="ml.m5.large", initial_variant_weight=1)
    assert len(endpoint.model_policies) == 1
    other = MultiModelContainer(image=KNN, model_store=ModelStore(stack, "Other"))
    endpoint.add_variant("Other", instance_type="ml.m5.large", initial_variant_weight=1, container=other)
    assert [policy.node.id[:11] for policy in endpoint.model_policies] == ["ModelPolicy"] * 2
    assert endpoint.rollback_policy is None
    metric = endpoint.default_variant.metric_invocation_model_errors()
    endpoint.add_rollback_alarms(metric.create_alarm(stack, "Alarm", threshold=1, evaluation_periods=1))
    assert endpoint.rollback_policy is not None
    assert "cloudwatch:DescribeAlarms" in json.dumps(stack.resolve(endpoint.rollback_policy.document))
