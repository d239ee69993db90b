"""Autoscaling: bounds, policies and their targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InferenceImage, InvalidEndpointError, ScalableInstanceCount

from .conftest import MakeEndpoint, resource

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
MINUTES = cdk.Duration.minutes


def tracking(stack: cdk.Stack) -> dict[str, Any]:
    found: dict[str, Any] = resource(Template.from_stack(stack), POLICY)["TargetTrackingScalingPolicyConfiguration"]
    return found


def test_target_is_the_variant_and_waits_for_the_endpoint(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint(endpoint_name="mine")
    endpoint.default_variant.auto_scale_instance_count(max_capacity=10)
    template = Template.from_stack(stack)
    assert resource(template, TARGET) == {
        "ServiceNamespace": "sagemaker",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "ResourceId": "endpoint/mine/variant/AllTraffic",
        "MinCapacity": 2,
        "MaxCapacity": 10,
    }
    template.has_resource(TARGET, {"DependsOn": [stack.get_logical_id(endpoint.endpoint)]})
    template.resource_count_is("AWS::IAM::Role", 1)


def test_keeps_the_live_instance_count_but_not_the_weights(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().default_variant.auto_scale_instance_count(max_capacity=3)
    endpoint = resource(Template.from_stack(stack), "AWS::SageMaker::Endpoint")
    assert endpoint["RetainAllVariantProperties"] is True
    assert endpoint["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DesiredWeight"}]


@pytest.mark.parametrize(("retain", "expected"), [(True, True), (False, None), (None, None)])
def test_retains_without_scaling_when_told(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, retain: bool | None, expected: bool | None
) -> None:
    make_endpoint(retain_variant_properties=retain)
    assert (
        resource(Template.from_stack(stack), "AWS::SageMaker::Endpoint").get("RetainAllVariantProperties") is expected
    )


def test_does_not_retain_when_told(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(retain_variant_properties=False).default_variant.auto_scale_instance_count(max_capacity=3)
    assert "RetainAllVariantProperties" not in resource(Template.from_stack(stack), "AWS::SageMaker::Endpoint")


@pytest.mark.parametrize(
    ("bounds", "problem"),
    [
        ({"min_capacity": 3, "max_capacity": 3}, "min_capacity must be at most initial_instance_count 2, got 3"),
        ({"max_capacity": 1}, "max_capacity must be at least initial_instance_count 2, got 1"),
    ],
)
def test_refuses_bounds_that_the_initial_count_is_not_within(
    make_endpoint: MakeEndpoint, bounds: dict[str, int], problem: str
) -> None:
    with pytest.raises(InvalidEndpointError, match=problem):
        make_endpoint().default_variant.auto_scale_instance_count(**bounds)


def test_leaves_tokens_to_cloudformation(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number: Any = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    make_endpoint(initial_instance_count=number).default_variant.auto_scale_instance_count(max_capacity=number)
    target = resource(Template.from_stack(stack), TARGET)
    assert target["MinCapacity"] == target["MaxCapacity"] == {"Ref": "Number"}


def test_refuses_to_scale_a_variant_twice(make_endpoint: MakeEndpoint) -> None:
    variant = make_endpoint().default_variant
    variant.auto_scale_instance_count(max_capacity=3)
    with pytest.raises(InvalidEndpointError, match="once per variant, got 'AllTraffic' again"):
        variant.auto_scale_instance_count(max_capacity=3)


def test_scales_several_variants(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    endpoint.add_variant("Green", instance_type="ml.c5.large", initial_variant_weight=1)
    for variant in endpoint.variants:
        variant.auto_scale_instance_count(max_capacity=4).scale_on_invocations("Load", max_requests_per_second=1)
    Template.from_stack(stack).resource_count_is(TARGET, 2)


def test_invocations(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().default_variant.auto_scale_instance_count(max_capacity=3).scale_on_invocations(
        "Load",
        max_requests_per_second=50,
        scale_in_cooldown=MINUTES(10),
        scale_out_cooldown=MINUTES(1),
        disable_scale_in=True,
    )
    assert tracking(stack) == {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "TargetValue": 1500,
        "ScaleInCooldown": 600,
        "ScaleOutCooldown": 60,
        "DisableScaleIn": True,
    }


@pytest.mark.parametrize(
    ("instance_type", "scale", "metric", "target"),
    [
        ("ml.m5.xlarge", ScalableInstanceCount.scale_on_cpu_utilization, "CPUUtilization", 200),
        ("ml.m5.xlarge", ScalableInstanceCount.scale_on_memory_utilization, "MemoryUtilization", 50),
        ("ml.g5.12xlarge", ScalableInstanceCount.scale_on_gpu_utilization, "GPUUtilization", 200),
        ("ml.g4dn.xlarge", ScalableInstanceCount.scale_on_gpu_memory_utilization, "GPUMemoryUtilization", 50),
    ],
)
def test_utilization_is_of_the_whole_instance(
    stack: cdk.Stack,
    make_endpoint: MakeEndpoint,
    instance_type: str,
    scale: Callable[..., None],
    metric: str,
    target: float,
) -> None:
    endpoint = make_endpoint(instance_type=instance_type, image=InferenceImage.triton("24.09"), endpoint_name="mine")
    count = endpoint.default_variant.auto_scale_instance_count(max_capacity=3)
    scale(count, "Busy", target_utilization_percent=50)
    assert tracking(stack) == {
        "CustomizedMetricSpecification": {
            "Namespace": "/aws/sagemaker/Endpoints",
            "MetricName": metric,
            "Dimensions": [
                {"Name": "EndpointName", "Value": "mine"},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            "Statistic": "Average",
        },
        "TargetValue": target,
    }


@pytest.mark.parametrize(
    ("instance_type", "scale", "reason"),
    [
        ("ml.m5.xlarge", ScalableInstanceCount.scale_on_gpu_utilization, "has no GPUs"),
        ("ml.new9.xlarge", ScalableInstanceCount.scale_on_cpu_utilization, "that this library does not know"),
        (cdk.Fn.ref("Type"), ScalableInstanceCount.scale_on_cpu_utilization, "that this library does not know"),
    ],
)
def test_refuses_utilization_of_cores_that_it_cannot_count(
    make_endpoint: MakeEndpoint, instance_type: str, scale: Callable[..., None], reason: str
) -> None:
    count = make_endpoint(instance_type=instance_type).default_variant.auto_scale_instance_count(max_capacity=3)
    with pytest.raises(InvalidEndpointError, match=rf"{reason}: use scale_to_track_metric"):
        scale(count, "Busy", target_utilization_percent=50)


def test_any_metric(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    variant = make_endpoint().default_variant
    count = variant.auto_scale_instance_count(max_capacity=3)
    count.scale_to_track_metric("Latency", metric=variant.metric_model_latency(statistic="Maximum"), target_value=5)
    specification = tracking(stack)["CustomizedMetricSpecification"]
    assert (specification["MetricName"], specification["Statistic"]) == ("ModelLatency", "Maximum")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda c: c.scale_on_invocations("x", max_requests_per_second=0), "max_requests_per_second must be above 0"),
        (lambda c: c.scale_on_invocations("x", max_requests_per_second=1, safety_factor=0), "safety_factor must be"),
        (lambda c: c.scale_on_invocations("x", max_requests_per_second=1, safety_factor=1.1), "safety_factor must be"),
        (lambda c: c.scale_on_cpu_utilization("x", target_utilization_percent=101), "above 0 and at most 100 percent"),
        (lambda c: c.scale_on_schedule("x", schedule=appscaling.Schedule.rate(MINUTES(5))), "must be given"),
    ],
)
def test_refuses_impossible_targets(
    make_endpoint: MakeEndpoint, call: Callable[[ScalableInstanceCount], None], problem: str
) -> None:
    count = make_endpoint().default_variant.auto_scale_instance_count(max_capacity=3)
    with pytest.raises(InvalidEndpointError, match=problem):
        call(count)


def test_schedule(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    count = make_endpoint().default_variant.auto_scale_instance_count(max_capacity=10)
    count.scale_on_schedule(
        "Morning",
        schedule=appscaling.Schedule.cron(hour="8", minute="0"),
        min_capacity=5,
        time_zone=cdk.TimeZone.EUROPE_BERLIN,
    )
    count.scale_on_schedule("Evening", schedule=appscaling.Schedule.cron(hour="20", minute="0"), min_capacity=2)
    assert resource(Template.from_stack(stack), TARGET)["ScheduledActions"] == [
        {
            "ScheduledActionName": "Morning",
            "Schedule": "cron(0 8 * * ? *)",
            "ScalableTargetAction": {"MinCapacity": 5},
            "Timezone": "Europe/Berlin",
        },
        {
            "ScheduledActionName": "Evening",
            "Schedule": "cron(0 20 * * ? *)",
            "ScalableTargetAction": {"MinCapacity": 2},
        },
    ]


def test_refuses_a_schedule_twice(make_endpoint: MakeEndpoint) -> None:
    count = make_endpoint().default_variant.auto_scale_instance_count(max_capacity=10)
    schedule = appscaling.Schedule.rate(MINUTES(5))
    count.scale_on_schedule("Often", schedule=schedule, min_capacity=2)
    with pytest.raises(InvalidEndpointError, match="got 'Often' a second time"):
        count.scale_on_schedule("Often", schedule=schedule, min_capacity=2)


@pytest.mark.parametrize("argument", ["max_requests_per_second", "safety_factor"])
def test_refuses_tokens_that_cloudformation_cannot_multiply(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, argument: str
) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    count = make_endpoint().default_variant.auto_scale_instance_count(max_capacity=3)
    target: dict[str, Any] = {"max_requests_per_second": 1, argument: number}
    with pytest.raises(InvalidEndpointError, match=f"{argument} must be known at synth.*: use scale_to_track_metric"):
        count.scale_on_invocations("Load", **target)


def test_takes_a_token_as_target_where_nothing_is_multiplied(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    count = make_endpoint().default_variant.auto_scale_instance_count(max_capacity=3)
    with pytest.raises(InvalidEndpointError, match=r"_percent must be known at synth.* it has 4"):
        count.scale_on_cpu_utilization("Cpu", target_utilization_percent=number)
    count.scale_on_memory_utilization("Memory", target_utilization_percent=number)
    assert tracking(stack)["TargetValue"] == {"Ref": "Number"}


def test_the_way_out_for_a_token_works(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    variant = make_endpoint().default_variant
    variant.auto_scale_instance_count(max_capacity=3).scale_to_track_metric(
        "Load", metric=variant.metric_invocations_per_instance(period=MINUTES(1)), target_value=number
    )
    assert tracking(stack)["TargetValue"] == {"Ref": "Number"}


def test_a_cooldown_of_tokens_must_be_in_seconds(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    count = make_endpoint().default_variant.auto_scale_instance_count(max_capacity=3)
    with pytest.raises(InvalidEndpointError, match="scale_in_cooldown must be given in whole seconds: Duration"):
        count.scale_on_invocations("Load", max_requests_per_second=1, scale_in_cooldown=MINUTES(number))
    count.scale_on_memory_utilization(
        "Memory", target_utilization_percent=50, scale_in_cooldown=cdk.Duration.seconds(number)
    )
    assert tracking(stack)["ScaleInCooldown"] == {"Ref": "Number"}


def test_refuses_burstable_instances(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError, match=r"must not be burstable for autoscaling, got 'ml\.t2\.medium'"):
        make_endpoint(instance_type="ml.t2.medium").default_variant.auto_scale_instance_count(max_capacity=3)


def test_refuses_two_policies_on_one_metric(make_endpoint: MakeEndpoint) -> None:
    variant = make_endpoint().default_variant
    count = variant.auto_scale_instance_count(max_capacity=3)
    count.scale_on_invocations("Load", max_requests_per_second=1)
    count.scale_on_cpu_utilization("Cpu", target_utilization_percent=50)
    with pytest.raises(InvalidEndpointError, match="one policy per metric, got a second one on Invocations"):
        count.scale_on_invocations("More", max_requests_per_second=2)
    with pytest.raises(InvalidEndpointError, match="one policy per metric, got a second one on CPUUtilization"):
        count.scale_to_track_metric("Again", metric=variant.metric_cpu_utilization(), target_value=50)
    count.scale_to_track_metric("Peak", metric=variant.metric_cpu_utilization(statistic="Maximum"), target_value=90)


def test_a_variant_whose_name_is_a_token_scales(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    name = cdk.CfnParameter(stack, "Name").value_as_string
    variant = make_endpoint(variant_name=name, endpoint_name="mine").default_variant
    variant.auto_scale_instance_count(max_capacity=3).scale_on_cpu_utilization("Cpu", target_utilization_percent=50)
    template = Template.from_stack(stack)
    assert resource(template, TARGET)["ResourceId"] == {"Fn::Join": ["", ["endpoint/mine/variant/", {"Ref": "Name"}]]}
    metric = resource(template, POLICY)["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    assert metric["Dimensions"][1] == {"Name": "VariantName", "Value": {"Ref": "Name"}}
