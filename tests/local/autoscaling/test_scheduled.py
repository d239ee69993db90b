"""Scheduled actions, and bounds that take effect at once."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

import pytest

from mme_local.autoscaling import TYPES, Provisioner
from mme_local.autoscaling.schedules import Schedule
from mme_local.aws.errors import ValidationError

from .conftest import SCOPE, World


def epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


NOON = epoch("2026-03-04T12:00:00+00:00")


@pytest.mark.parametrize(
    ("expression", "zone", "expected"),
    [
        ("at(2026-03-04T12:30:00)", "UTC", "2026-03-04T12:30:00+00:00"),
        ("at(2026-03-04T12:30:00)", "America/New_York", "2026-03-04T17:30:00+00:00"),
        ("rate(1 minute)", "UTC", "2026-03-04T12:01:00+00:00"),
        ("rate(5 hours)", "Europe/Berlin", "2026-03-04T17:00:00+00:00"),
        ("rate(2 days)", "UTC", "2026-03-06T12:00:00+00:00"),
        ("cron(0 9 * * ? *)", "UTC", "2026-03-05T09:00:00+00:00"),
        ("cron(0 9 * * ? *)", "Europe/Berlin", "2026-03-05T08:00:00+00:00"),
        ("cron(0 9 ? * MON-FRI *)", "America/New_York", "2026-03-04T14:00:00+00:00"),
        ("cron(0/15 8-17 ? * 2 *)", "UTC", "2026-03-09T08:00:00+00:00"),
        ("cron(0 0 L * ? *)", "UTC", "2026-03-31T00:00:00+00:00"),
        ("cron(0 12 ? * 4#1 *)", "UTC", "2026-04-01T12:00:00+00:00"),
        # clocks in Berlin jump over half past two on 29 March
        ("cron(30 2 29 3 ? 2026)", "Europe/Berlin", "2026-03-29T01:30:00+00:00"),
    ],
)
def test_next_run(expression: str, zone: str, expected: str) -> None:
    schedule = Schedule.parsed(expression, zone, NOON, None)
    assert schedule.after(NOON + 0.5) == epoch(expected)


def test_an_hour_that_clocks_show_twice_is_run_once() -> None:
    schedule = Schedule.parsed("cron(30 2 * * ? *)", "Europe/Berlin", NOON, None)
    first = schedule.after(epoch("2026-10-24T22:00:00+00:00"))
    assert first == epoch("2026-10-25T00:30:00+00:00")
    assert schedule.after(first) == epoch("2026-10-26T01:30:00+00:00")


def test_start_and_end_limit_a_schedule() -> None:
    start, end = epoch("2026-03-10T10:00:00+00:00"), epoch("2026-03-10T10:10:00+00:00")
    schedule = Schedule.parsed("rate(4 minutes)", "UTC", start, end)
    assert schedule.after(NOON) == start
    assert schedule.after(start) == start + 240
    assert schedule.after(start + 480) is None


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("sometimes", "UTC"),
        ("at(tomorrow)", "UTC"),
        ("rate(1 minutes)", "UTC"),
        ("rate(5 minute)", "UTC"),
        ("rate(0 minutes)", "UTC"),
        ("cron(0 9 * * *)", "UTC"),
        ("cron(0 9 * * * *)", "UTC"),
        ("cron(61 9 * * ? *)", "UTC"),
        ("rate(1 minute)", "Mars/Olympus"),
    ],
)
def test_refuses_what_is_no_schedule(expression: str, zone: str) -> None:
    with pytest.raises(ValidationError):
        Schedule.parsed(expression, zone, NOON, None)


def put(world: World, schedule: str, name: str = "night", **more: Any) -> None:
    world.call("PutScheduledAction", ScheduledActionName=name, Schedule=schedule, **more)


def bounds(world: World) -> tuple[int, int]:
    (target,) = world.call("DescribeScalableTargets")["ScalableTargets"]
    return target["MinCapacity"], target["MaxCapacity"]


async def test_a_rate_changes_the_bounds_again_and_again(world: World) -> None:
    world.register(1, 10)
    put(world, "rate(1 minute)", ScalableTargetAction={"MinCapacity": 4})
    assert await world.look(1) == 2
    assert await world.look(59) == 4
    assert bounds(world) == (4, 10)
    assert world.activities()[0]["Cause"] == "scheduled action name night was triggered"
    world.register(1, 10)
    assert await world.look(30) == 4
    assert bounds(world) == (1, 10)
    await world.look(600)
    assert bounds(world) == (4, 10)


async def test_one_bound_moves_the_other_along(world: World) -> None:
    world.register(2, 4)
    put(world, "rate(1 minute)", ScalableTargetAction={"MinCapacity": 6})
    put(world, "rate(2 minutes)", "later", ScalableTargetAction={"MaxCapacity": 1})
    assert await world.look(60) == 6
    assert bounds(world) == (6, 6)
    world.call("DeleteScheduledAction", ScheduledActionName="night")
    assert await world.look(60) == 1
    assert bounds(world) == (1, 1)


async def test_a_suspended_schedule_does_nothing(world: World) -> None:
    world.register(1, 10, SuspendedState={"ScheduledScalingSuspended": True})
    put(world, "rate(1 minute)", ScalableTargetAction={"MinCapacity": 4})
    assert await world.look(60) == 2
    assert bounds(world) == (1, 10)


async def test_describes_and_deletes_actions(world: World, refused: Callable[..., str]) -> None:
    world.register(1, 10)
    action = {"MinCapacity": 1, "MaxCapacity": 3}
    put(world, "cron(0 9 * * ? *)", Timezone="Europe/Berlin", ScalableTargetAction=action)
    (found,) = world.call("DescribeScheduledActions")["ScheduledActions"]
    assert found["ScheduledActionARN"].startswith("arn:aws:autoscaling:us-east-1:000000000000:scheduledAction:")
    assert found["ScheduledActionARN"].endswith(
        ":resource/sagemaker/endpoint/e/variant/AllTraffic:scheduledActionName/night"
    )
    assert (found["Schedule"], found["Timezone"]) == ("cron(0 9 * * ? *)", "Europe/Berlin")
    assert found["ScalableTargetAction"] == action
    put(world, "rate(1 day)", ScalableTargetAction=action)
    (changed,) = world.call("DescribeScheduledActions", ScheduledActionNames=["night"])["ScheduledActions"]
    assert changed["ScheduledActionARN"] == found["ScheduledActionARN"]
    assert "Timezone" not in changed
    world.call("DeleteScheduledAction", ScheduledActionName="night")
    assert world.call("DescribeScheduledActions")["ScheduledActions"] == []
    assert refused(world.call, "DeleteScheduledAction", ScheduledActionName="night") == (
        "ObjectNotFoundException: No scheduled action found for service namespace: sagemaker,"
        " resource ID: endpoint/e/variant/AllTraffic, scalable dimension: sagemaker:variant:DesiredInstanceCount,"
        " scheduled action name: night"
    )


@pytest.mark.parametrize(
    "members",
    [
        {"ScalableTargetAction": {"MinCapacity": 1}},
        {"Schedule": "rate(1 minute)"},
        {"Schedule": "rate(1 minute)", "ScalableTargetAction": {}},
        {"Schedule": "rate(1 minute)", "ScalableTargetAction": {"MinCapacity": 3, "MaxCapacity": 2}},
        {"Schedule": "at(2020-01-01T00:00:00)", "ScalableTargetAction": {"MinCapacity": 1}},
        {"Schedule": "rate(1 minute)", "EndTime": 5, "ScalableTargetAction": {"MinCapacity": 1}},
    ],
)
async def test_refuses_actions_that_could_not_run(
    world: World, refused: Callable[..., str], members: dict[str, Any]
) -> None:
    world.register()
    answer = refused(world.call, "PutScheduledAction", ScheduledActionName="x", **members)
    assert answer.startswith("ValidationException: ")


async def test_a_count_outside_of_the_bounds_is_changed_at_registration(world: World) -> None:
    world.register(3, 5)
    await world.settle()
    assert world.count == 3
    assert world.activities()[0]["Cause"] == "minimum capacity was set to 3"
    world.register(1, 2)
    await world.settle()
    assert world.count == 2
    assert world.activities()[0]["Cause"] == "maximum capacity was set to 2"


async def test_a_stacks_update_of_something_else_does_not_disturb_a_rate(world: World) -> None:
    provisioner = Provisioner(world.service, lambda: SCOPE)
    provisioner.attach(asyncio.get_running_loop())
    action = {
        "ScheduledActionName": "often",
        "Schedule": "rate(1 hour)",
        "ScalableTargetAction": {"MinCapacity": 4},
    }
    properties = {
        "ServiceNamespace": "sagemaker",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "ResourceId": world.resource,
        "MinCapacity": 1,
        "MaxCapacity": 5,
        "ScheduledActions": [action],
    }
    target_id, _ = await asyncio.to_thread(provisioner.create, TYPES[0], "Target", properties, "Stack")
    world.now += 1800
    new = {**properties, "MaxCapacity": 6}
    await asyncio.to_thread(provisioner.update, TYPES[0], target_id, properties, new)
    assert await world.look(1800) == 4
    world.register(1)
    faster = {**new, "ScheduledActions": [{**action, "Schedule": "rate(1 minute)"}]}
    await asyncio.to_thread(provisioner.update, TYPES[0], target_id, new, faster)
    assert await world.look(60) == 4
    assert bounds(world) == (4, 6)
