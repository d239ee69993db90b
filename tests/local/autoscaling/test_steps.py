"""Step scaling: alarms whose action is a policy."""

from __future__ import annotations

from typing import Any

from mme_local.autoscaling.metrics import Alarm, Metric

from .conftest import World


def put(world: World, name: str, amount: int, **more: Any) -> str:
    configuration = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"ScalingAdjustment": amount}],
        **more,
    }
    arn: str = world.call(
        "PutScalingPolicy", PolicyName=name, PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
    )["PolicyARN"]
    return arn


def alarm(arn: str, name: str = "high") -> Alarm:
    return Alarm(name, Metric("Mine", "Queue", (), "Average"), 10.0, (arn, "arn:aws:sns:us-east-1:1:topic"))


async def test_an_alarm_triggers_its_policy_once_in_a_cooldown(world: World) -> None:
    world.register()
    arn = put(world, "more", 2, Cooldown=60)
    world.metrics.values = {"Queue": 12}
    assert await world.look() == 2
    world.metrics.firing = [alarm(arn)]
    assert await world.look() == 4
    assert world.activities()[0]["Cause"] == "monitor alarm high in state ALARM triggered policy more"
    assert await world.look(59) == 4
    assert await world.look(1) == 6
    world.metrics.firing = []
    assert await world.look(600) == 6


async def test_an_alarm_can_scale_in(world: World) -> None:
    world.register()
    world.metrics.firing = [alarm(put(world, "less", -1, Cooldown=60), "low")]
    world.metrics.values = {"Queue": 3}
    assert await world.look() == 1
    assert await world.look(600) == 1


async def test_steps_and_tracking_together_take_the_larger(world: World) -> None:
    world.register()
    world.track(100)
    world.metrics.firing = [alarm(put(world, "more", 1))]
    world.metrics.values = {"Queue": 12, "InvocationsPerInstance": 0}
    assert await world.look(60) == 3
    world.metrics.values = {"Queue": 12, "InvocationsPerInstance": 300}
    assert await world.look(300) == 9
