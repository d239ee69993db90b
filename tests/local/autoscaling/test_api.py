"""The API's answers and refusals, and what SageMaker makes of scalable targets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import SCOPE, START, World

Refused = Callable[..., str]

NOT_REGISTERED = (
    "ObjectNotFoundException: No scalable target {} for service namespace: sagemaker,"
    " resource ID: endpoint/e/variant/AllTraffic, scalable dimension: sagemaker:variant:DesiredInstanceCount"
)
STEPS = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 1}]}


async def test_describes_a_target(world: World) -> None:
    arn = world.register(2, 6, SuspendedState={"ScheduledScalingSuspended": True}, Tags={"a": "1"})
    assert arn.startswith("arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/")
    (found,) = world.call("DescribeScalableTargets")["ScalableTargets"]
    role = found.pop("RoleARN")
    assert role.endswith(
        ":role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
    assert found == {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/e/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 2,
        "MaxCapacity": 6,
        "CreationTime": START,
        "SuspendedState": {
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": True,
        },
        "ScalableTargetARN": arn,
    }
    assert world.call("RegisterScalableTarget", MaxCapacity=9) == {"ScalableTargetARN": arn}
    (found,) = world.call("DescribeScalableTargets", ResourceIds=[world.resource])["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (2, 9)
    assert world.call("DescribeScalableTargets", ResourceIds=["endpoint/x/variant/y"])["ScalableTargets"] == []


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"ServiceNamespace": "ecs"}, "scales the service namespace sagemaker only, got ecs"),
        ({"ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"}, "scales the dimension"),
        ({"ScalableDimension": "nonsense"}, "at 'scalableDimension' failed to satisfy constraint"),
        ({"ResourceId": "endpoint/e"}, "Unsupported resource ID"),
        ({"ResourceId": "endpoint/nope/variant/AllTraffic"}, "Could not find endpoint nope"),
        ({"ResourceId": "endpoint/E/variant/AllTraffic"}, "Could not find endpoint E"),
        ({"ResourceId": "endpoint/e/variant/nope"}, "Could not find variant nope"),
        ({"MinCapacity": 3, "MaxCapacity": 2}, "Maximum capacity cannot be less than minimum capacity"),
        ({"MinCapacity": -1}, "must not be negative"),
        ({"MinCapacity": None}, "are required to register a new scalable target"),
    ],
)
async def test_refuses_targets(world: World, refused: Refused, members: dict[str, Any], text: str) -> None:
    answer = refused(world.call, "RegisterScalableTarget", **{"MinCapacity": 1, "MaxCapacity": 5, **members})
    assert answer.startswith("ValidationException: ")
    assert text in answer


async def test_a_new_target_needs_an_endpoint_in_service_and_an_old_one_only_the_endpoint(
    world: World, refused: Refused
) -> None:
    world.config("two")
    world.sage("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    assert "must be InService, it is Updating" in refused(world.register)
    await world.settle()
    world.register(1, 4)
    world.sage("UpdateEndpoint", EndpointName="e", EndpointConfigName="one")
    world.register(1, 5)


async def test_deregisters_with_policies_and_actions(world: World, refused: Refused) -> None:
    world.register()
    world.track()
    world.call("DeregisterScalableTarget")
    assert refused(world.call, "DeregisterScalableTarget") == NOT_REGISTERED.format("found")
    assert refused(world.track) == NOT_REGISTERED.format("registered")
    world.register()
    assert world.call("DescribeScalingPolicies")["ScalingPolicies"] == []


async def test_describes_policies(world: World, refused: Refused) -> None:
    world.register()
    arn = world.track(70, ScaleInCooldown=600)
    step = world.call(
        "PutScalingPolicy", PolicyName="step", PolicyType="StepScaling", StepScalingPolicyConfiguration=STEPS
    )
    assert step["Alarms"] == []
    found = world.call("DescribeScalingPolicies")["ScalingPolicies"]
    assert [policy["PolicyName"] for policy in found] == ["load", "step"]
    assert found[0]["PolicyARN"] == arn
    assert found[0]["PolicyARN"].endswith(":resource/sagemaker/endpoint/e/variant/AllTraffic:policyName/load")
    assert found[0]["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 70
    assert found[1]["StepScalingPolicyConfiguration"] == STEPS
    assert world.track(80) == arn
    (changed,) = world.call("DescribeScalingPolicies", PolicyNames=["load"])["ScalingPolicies"]
    assert changed["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 80
    world.call("DeleteScalingPolicy", PolicyName="load")
    assert refused(world.call, "DeleteScalingPolicy", PolicyName="load").endswith(", policy name: load")


CUSTOM = {"MetricName": "M", "Namespace": "N", "Statistic": "Average"}
INVOCATIONS = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


@pytest.mark.parametrize(
    ("kind", "configuration", "text"),
    [
        (None, {"TargetValue": 1}, "PolicyType is required"),
        ("PredictiveScaling", {"TargetValue": 1}, "is not supported for service namespace sagemaker"),
        ("StepScaling", {"TargetValue": 1}, "needs a StepScalingPolicyConfiguration and no other"),
        ("TargetTrackingScaling", {"TargetValue": 1}, "Exactly one of"),
        (
            "TargetTrackingScaling",
            {"TargetValue": 1, "PredefinedMetricSpecification": INVOCATIONS, "CustomizedMetricSpecification": CUSTOM},
            "Exactly one of",
        ),
        ("TargetTrackingScaling", {"PredefinedMetricSpecification": INVOCATIONS}, "targetValue"),
        ("TargetTrackingScaling", {"TargetValue": 0, "PredefinedMetricSpecification": INVOCATIONS}, "greater than 0"),
        (
            "TargetTrackingScaling",
            {"TargetValue": 1, "ScaleInCooldown": -1, "PredefinedMetricSpecification": INVOCATIONS},
            "ScaleInCooldown must not be negative",
        ),
        (
            "TargetTrackingScaling",
            {"TargetValue": 1, "PredefinedMetricSpecification": {"PredefinedMetricType": "InvocationsPerInstance"}},
            "failed to satisfy constraint",
        ),
        (
            "TargetTrackingScaling",
            {
                "TargetValue": 1,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
            },
            "is not a metric of sagemaker:variant:DesiredInstanceCount",
        ),
        (
            "TargetTrackingScaling",
            {"TargetValue": 1, "CustomizedMetricSpecification": {"MetricName": "M"}},
            "must specify Namespace, Statistic",
        ),
        (
            "TargetTrackingScaling",
            {"TargetValue": 1, "CustomizedMetricSpecification": {"Metrics": [{"Id": "a", "Expression": "1"}]}},
            "does not evaluate metric math",
        ),
    ],
)
async def test_refuses_policies(
    world: World, refused: Refused, kind: str | None, configuration: dict[str, Any], text: str
) -> None:
    world.register()
    members = {} if kind is None else {"PolicyType": kind}
    answer = refused(
        world.call,
        "PutScalingPolicy",
        PolicyName="p",
        TargetTrackingScalingPolicyConfiguration=configuration,
        **members,
    )
    assert answer.startswith("ValidationException: ")
    assert text in answer


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"ScalingAdjustment": 1}, {"ScalingAdjustment": 2, "MetricIntervalLowerBound": 5}],
        [{"ScalingAdjustment": 1, "MetricIntervalLowerBound": 5, "MetricIntervalUpperBound": 5}],
        [
            {"ScalingAdjustment": 1, "MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 5},
            {"ScalingAdjustment": 2, "MetricIntervalLowerBound": 4},
        ],
    ],
)
async def test_refuses_steps_that_are_not_disjoint(world: World, refused: Refused, steps: list[dict[str, Any]]) -> None:
    world.register()
    configuration = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": steps}
    answer = refused(
        world.call,
        "PutScalingPolicy",
        PolicyName="p",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration=configuration,
    )
    assert answer.startswith("ValidationException: ")


async def test_one_policy_for_a_metric_and_one_type_for_a_policy(world: World, refused: Refused) -> None:
    world.register()
    world.track()
    world.track(name="queue", metric="Queue")
    for more in ({"name": "again"}, {"name": "queue again", "metric": "Queue"}):
        assert refused(world.track, **more) == (
            "ValidationException: Only one TargetTrackingScaling policy for a given metric specification is allowed."
        )
    answer = refused(
        world.call,
        "PutScalingPolicy",
        PolicyName="load",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration=STEPS,
    )
    assert "cannot change" in answer


async def test_tags(world: World, refused: Refused) -> None:
    arn = world.register(Tags={"a": "1", "b": "2"})
    world.call("TagResource", ResourceARN=arn, Tags={"b": "3", "c": "4"})
    world.call("UntagResource", ResourceARN=arn, TagKeys=["a"])
    assert world.call("ListTagsForResource", ResourceARN=arn)["Tags"] == {"b": "3", "c": "4"}
    many = {str(number): "" for number in range(50)}
    assert refused(world.call, "TagResource", ResourceARN=arn, Tags=many).startswith("TooManyTagsException: ")
    answer = refused(world.call, "ListTagsForResource", ResourceARN=f"{arn}x")
    assert answer.startswith("ResourceNotFoundException: ")


async def test_pages(world: World, refused: Refused) -> None:
    world.register()
    for number in range(3):
        world.track(name=f"p{number}", metric=f"Q{number}")
    first = world.call("DescribeScalingPolicies", MaxResults=2)
    second = world.call("DescribeScalingPolicies", MaxResults=2, NextToken=first["NextToken"])
    names = [policy["PolicyName"] for page in (first, second) for policy in page["ScalingPolicies"]]
    assert names == ["p0", "p1", "p2"]
    assert "NextToken" not in second
    answer = refused(world.call, "DescribeScalingPolicies", NextToken="?")
    assert answer.startswith("InvalidNextTokenException: ")
    assert "between 1 and 50" in refused(world.call, "DescribeScalingPolicies", MaxResults=51)


async def test_the_protocol(world: World) -> None:
    async def answer(operation: str, body: bytes) -> tuple[int, Any]:
        status, _, content = await world.service.answer(SCOPE, f"AnyScaleFrontendService.{operation}", body)
        return status, json.loads(content)

    found = await answer("DescribeScalableTargets", b'{"ServiceNamespace": "sagemaker"}')
    assert found == (200, {"ScalableTargets": []})
    status, error = await answer("GetPredictiveScalingForecast", b"{}")
    assert (status, error["__type"]) == (400, "UnknownOperationException")
    assert (await answer("DescribeScalableTargets", b"{"))[1]["__type"] == "SerializationException"


async def test_a_deleted_endpoint_has_no_targets(world: World) -> None:
    world.register(3)
    await world.settle()
    world.sage("DeleteEndpoint", EndpointName="e")
    assert world.call("DescribeScalableTargets")["ScalableTargets"] == []
    # what happened is still told
    assert len(world.activities()) == 1


@pytest.mark.parametrize("change", [{"instance_type": "ml.m5.xlarge"}, {"model": "N"}])
async def test_sagemaker_refuses_another_instance_type_of_a_scaled_variant(
    world: World, refused: Refused, change: dict[str, Any]
) -> None:
    world.register()
    world.config("two", **change)
    if "model" in change:
        world.sage("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
        return
    assert refused(world.sage, "UpdateEndpoint", EndpointName="e", EndpointConfigName="two") == (
        'ValidationException: The variant(s) "AllTraffic" must be deregistered as a scalable target with AWS Auto'
        " Scaling before they can be removed or have their instance type modified."
    )
    world.call("DeregisterScalableTarget")
    world.sage("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")


async def test_sagemaker_refuses_to_remove_a_scaled_variant_only(world: World, refused: Refused) -> None:
    other = "endpoint/e/variant/other"
    world.config("two", other=False)
    world.register()
    world.register(ResourceId=other)
    update = {"EndpointName": "e", "EndpointConfigName": "two"}
    assert 'The variant(s) "other" must be deregistered' in refused(world.sage, "UpdateEndpoint", **update)
    world.call("DeregisterScalableTarget", ResourceId=other)
    world.sage("UpdateEndpoint", **update)


@pytest.mark.parametrize(("retain", "expected"), [(True, 5), (False, 2)])
async def test_an_update_keeps_the_live_count_when_told_so(world: World, retain: bool, expected: int) -> None:
    world.register()
    world.track(100)
    world.metrics.values = {"InvocationsPerInstance": 250}
    assert await world.look() == 5
    world.config("two", model="N")
    world.sage("UpdateEndpoint", EndpointName="e", EndpointConfigName="two", RetainAllVariantProperties=retain)
    await world.settle()
    assert world.count == expected
