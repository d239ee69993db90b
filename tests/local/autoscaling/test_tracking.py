"""What target tracking makes of metrics, over time."""

from __future__ import annotations

from typing import Any

import pytest

from mme_local.autoscaling.metrics import Metric, combined
from mme_local.autoscaling.tracking import stepped, tracked

from .conftest import World


@pytest.mark.parametrize(
    ("count", "metric", "target", "wanted"),
    [
        (2, 100, 100, 2),
        (2, 101, 100, 3),
        (2, 400, 100, 8),
        (2, 91, 100, 2),
        (20, 91, 100, 20),
        (4, 89, 100, 4),
        (4, 70, 100, 3),
        (4, 0, 100, 0),
        (10, 33, 30, 11),
        (3, 2.1, 0.7, 9),
    ],
)
def test_the_count_brings_the_metric_to_its_target(count: int, metric: float, target: float, wanted: int) -> None:
    assert tracked(count, metric, target) == wanted


@pytest.mark.parametrize(
    ("kind", "steps", "breach", "wanted"),
    [
        ("ChangeInCapacity", [(0, 10, 1), (10, None, 3)], 4, 11),
        ("ChangeInCapacity", [(0, 10, 1), (10, None, 3)], 10, 13),
        ("ChangeInCapacity", [(0, 10, 1), (10, None, 3)], -5, 10),
        ("ChangeInCapacity", [(None, -5, -2), (-5, 0, -1)], -5, 8),
        ("ChangeInCapacity", [(None, -5, -2), (-5, 0, -1)], -4, 9),
        ("ExactCapacity", [(None, None, 4)], 1, 4),
        ("PercentChangeInCapacity", [(0, None, 25)], 1, 12),
        ("PercentChangeInCapacity", [(0, None, 1)], 1, 11),
        ("PercentChangeInCapacity", [(None, 0, -25)], -1, 8),
    ],
)
def test_steps(kind: str, steps: list[tuple[Any, Any, int]], breach: float, wanted: int) -> None:
    adjustments = [
        {
            **({"MetricIntervalLowerBound": low} if low is not None else {}),
            **({"MetricIntervalUpperBound": high} if high is not None else {}),
            "ScalingAdjustment": amount,
        }
        for low, high, amount in steps
    ]
    assert stepped({"AdjustmentType": kind, "StepAdjustments": adjustments}, 10, breach) == wanted


def test_a_percentage_changes_at_least_the_magnitude() -> None:
    configuration = {"AdjustmentType": "PercentChangeInCapacity", "MinAdjustmentMagnitude": 3}
    up = {**configuration, "StepAdjustments": [{"ScalingAdjustment": 10}]}
    down = {**configuration, "StepAdjustments": [{"ScalingAdjustment": -10}]}
    assert (stepped(up, 10, 1), stepped(down, 10, -1)) == (13, 7)


def test_a_window_across_two_minutes_is_one_value() -> None:
    points = [
        {"SampleCount": 3.0, "Sum": 30.0, "Minimum": 5.0, "Maximum": 20.0},
        {"SampleCount": 1.0, "Sum": 50.0, "Minimum": 50.0, "Maximum": 50.0},
    ]
    found = {name: combined(points, name) for name in ("Sum", "Average", "Minimum", "Maximum", "SampleCount")}
    assert found == {"Sum": 80.0, "Average": 20.0, "Minimum": 5.0, "Maximum": 50.0, "SampleCount": 4.0}
    assert combined([], "Sum") is None


async def test_scales_out_to_the_target(world: World) -> None:
    world.register()
    world.track(100)
    world.metrics.values = {"InvocationsPerInstance": 240}
    assert await world.look() == 5
    assert world.variant()["CurrentInstanceCount"] == 5
    assert world.variant("other")["DesiredInstanceCount"] == 1
    dimensions = (("EndpointName", "e"), ("VariantName", "AllTraffic"))
    assert world.metrics.asked[0] == Metric("AWS/SageMaker", "InvocationsPerInstance", dimensions, "Sum")
    (activity,) = world.activities()
    assert activity["StatusCode"] == "Successful"
    assert activity["Description"] == "Setting desired instance count to 5."
    assert activity["Cause"] == "metric InvocationsPerInstance of 240 with a target of 100 triggered policy load"
    assert activity["EndTime"] >= activity["StartTime"]


async def test_counts_invocations_when_fewer_instances_run_than_are_desired(world: World) -> None:
    world.register()
    world.track(100, ScaleOutCooldown=0)
    # one process answers for all instances of this machine
    world.metrics.values = {"InvocationsPerInstance": 480, "Invocations": 480}
    assert await world.look() == 5
    assert await world.look(10) == 5


@pytest.mark.parametrize(("maximum", "expected"), [(3, 3), (10, 8)])
async def test_stays_below_the_maximum(world: World, maximum: int, expected: int) -> None:
    world.register(1, maximum)
    world.track(100)
    world.metrics.values = {"InvocationsPerInstance": 400}
    assert await world.look() == expected


async def test_waits_for_the_scale_out_cooldown_but_not_with_a_larger_one(world: World) -> None:
    world.register(1, 20)
    world.track(10, metric="Queue", ScaleOutCooldown=60)
    world.metrics.values = {"Queue": 20}
    assert await world.look() == 4
    # still seen from before the change: two instances would have asked for four
    assert await world.look(30) == 4
    world.metrics.values = {"Queue": 30}
    assert await world.look(10) == 6
    world.metrics.values = {"Queue": 11}
    assert await world.look(59) == 6
    assert await world.look(1) == 7


async def test_falls_back_after_the_scale_in_cooldown(world: World) -> None:
    world.register(1, 10)
    world.track(100, ScaleOutCooldown=10, ScaleInCooldown=120)
    world.metrics.values = {"InvocationsPerInstance": 200}
    assert await world.look() == 4
    # SageMaker emits zeros without traffic
    world.metrics.values = {}
    assert await world.look(119) == 4
    assert await world.look(1) == 1
    assert [activity["StatusCode"] for activity in world.activities()] == ["Successful", "Successful"]


async def test_cooldowns_are_five_minutes_if_not_said(world: World) -> None:
    world.register(1, 20)
    world.track(10, metric="Queue")
    world.metrics.values = {"Queue": 20}
    assert await world.look() == 4
    world.metrics.values = {"Queue": 5}
    assert await world.look(299) == 4
    assert await world.look(1) == 2
    assert await world.look(299) == 2
    assert await world.look(1) == 1


async def test_scales_out_during_the_scale_in_cooldown(world: World) -> None:
    world.register(1, 20)
    world.track(10, metric="Queue")
    world.metrics.values = {"Queue": 5}
    assert await world.look(60) == 1
    world.metrics.values = {"Queue": 50}
    assert await world.look(5) == 5


async def test_a_new_policy_waits_for_a_minute_before_it_scales_in(world: World) -> None:
    world.register()
    world.track()
    assert await world.look(59) == 2
    assert await world.look(1) == 1


async def test_stays_above_the_minimum(world: World) -> None:
    world.register(2)
    world.track()
    assert await world.look(600) == 2
    world.register(0)
    assert await world.look(600) == 1


async def test_never_scales_in_when_told_so(world: World) -> None:
    world.register()
    world.track(DisableScaleIn=True)
    assert await world.look(600) == 2
    world.metrics.values = {"InvocationsPerInstance": 200}
    assert await world.look() == 4


async def test_without_data_of_its_own_metric_nothing_happens(world: World) -> None:
    world.register()
    world.track(metric="Queue")
    assert await world.look(600) == 2


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(150, 300, 6), (300, 150, 6), (10, 300, 6), (10, 10, 1), (10, 60, 2), (10, 95, 2), (10, None, 2)],
)
async def test_the_largest_wish_wins_and_all_must_agree_to_scale_in(
    world: World, first: float, second: float | None, expected: int
) -> None:
    world.register()
    world.track(name="first")
    world.track(name="second", metric="Queue")
    world.metrics.values = {"InvocationsPerInstance": first, **({"Queue": second} if second is not None else {})}
    assert await world.look(60) == expected


@pytest.mark.parametrize(("direction", "metric"), [("Out", 400), ("In", 0)])
async def test_a_suspended_direction_is_left_alone(world: World, direction: str, metric: float) -> None:
    world.register(SuspendedState={f"DynamicScaling{direction}Suspended": True})
    world.track()
    world.metrics.values = {"InvocationsPerInstance": metric}
    assert await world.look(600) == 2
    world.register(SuspendedState={f"DynamicScaling{direction}Suspended": False})
    assert await world.look(600) != 2


async def test_an_endpoint_in_change_is_left_alone(world: World) -> None:
    world.register()
    world.track()
    world.metrics.values = {"InvocationsPerInstance": 400}
    world.config("two")
    world.sage("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    await world.service.scaler.look()
    assert world.count == 2
    assert world.activities() == []
    await world.settle()
    assert await world.look() == 8


async def test_a_failed_change_is_told_and_tried_again(world: World) -> None:
    world.register()
    world.track()
    world.metrics.values = {"InvocationsPerInstance": 200}
    world.machine.full = True
    assert await world.look() == 2
    (activity,) = world.activities()
    assert activity["StatusCode"] == "Failed"
    assert activity["StatusMessage"].endswith("Reason: no room for another instance")
    world.machine.full = False
    assert await world.look(5) == 4


async def test_one_targets_trouble_is_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.register()
    world.track(metric="Queue")
    other = "endpoint/e/variant/other"
    world.register(1, 4, ResourceId=other)

    async def broken(*arguments: Any) -> float:
        raise OSError("unreachable")

    monkeypatch.setattr(world.metrics, "value", broken)
    world.call("RegisterScalableTarget", ResourceId=other, MinCapacity=3)
    await world.look()
    assert world.variant("other")["DesiredInstanceCount"] == 3


@pytest.mark.parametrize("operation", ["DeregisterScalableTarget", "UpdateEndpointWeightsAndCapacities"])
async def test_what_changed_while_metrics_were_read_is_not_overruled(
    world: World, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    world.register()
    world.track(metric="Queue")

    async def slow(*arguments: Any) -> float:
        if operation == "DeregisterScalableTarget":
            world.call(operation)
        else:
            change = {"VariantName": "AllTraffic", "DesiredInstanceCount": 3}
            world.sage(operation, EndpointName="e", DesiredWeightsAndCapacities=[change])
            await world.settle()
        return 1000.0

    monkeypatch.setattr(world.metrics, "value", slow)
    assert await world.look() == (2 if operation == "DeregisterScalableTarget" else 3)
    assert world.activities() == []
