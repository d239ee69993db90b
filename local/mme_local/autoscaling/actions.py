"""Scheduled actions: put, described, deleted and due."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from mme_local.autoscaling.account import Account
from mme_local.autoscaling.errors import LimitExceeded
from mme_local.autoscaling.listing import answer
from mme_local.autoscaling.records import (
    DIMENSION,
    NAMESPACE,
    ScalableTarget,
    ScheduledAction,
    check_addressed,
)
from mme_local.autoscaling.schedules import Schedule
from mme_local.autoscaling.targets import check_bounds, not_found
from mme_local.aws.errors import ValidationError

_MOST_ACTIONS = 200


def put(account: Account, request: Mapping[str, Any], now: float) -> dict[str, Any]:
    """PutScheduledAction: a new one, or new settings of the one of this name; what is left out of those is unset."""
    target = account.get(request, "registered")
    name = request["ScheduledActionName"]
    old = target.actions.get(name)
    expression = request.get("Schedule", None if old is None else old.schedule.expression)
    bounds = request.get("ScalableTargetAction", {})
    if expression is None:
        raise ValidationError("Schedule is required to create a scheduled action.")
    if not bounds:
        raise ValidationError("ScalableTargetAction must specify MinCapacity, MaxCapacity or both.")
    check_bounds(bounds.get("MinCapacity", 0), bounds.get("MaxCapacity", bounds.get("MinCapacity", 0)))
    if old is None and len(target.actions) >= _MOST_ACTIONS:
        raise LimitExceeded(f"A scalable target can have at most {_MOST_ACTIONS} scheduled actions.")
    schedule = Schedule.parsed(
        expression, request.get("Timezone", "UTC"), request.get("StartTime", now), request.get("EndTime")
    )
    next_run = schedule.after(now)
    if next_run is None:
        raise ValidationError(f"The schedule {expression} has no run in the future.")
    resource = f"scheduledAction:{uuid.uuid4()}:resource/{NAMESPACE}/{target.resource_id}:scheduledActionName/{name}"
    target.actions[name] = ScheduledAction(
        name,
        account.scope.arn("autoscaling", resource) if old is None else old.arn,
        schedule,
        {**request, "Schedule": expression},
        now if old is None else old.created,
        next_run,
    )
    return {}


def describe(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """DescribeScheduledActions."""
    check_addressed(request)
    names, resource_id = request.get("ScheduledActionNames"), request.get("ResourceId")
    shown = ("Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")
    found = [
        {
            "ScheduledActionName": action.name,
            "ScheduledActionARN": action.arn,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": target.resource_id,
            "ScalableDimension": DIMENSION,
            "CreationTime": action.created,
            **{member: action.request[member] for member in shown if member in action.request},
        }
        for target in account.targets.values()
        for action in target.actions.values()
        if resource_id in (None, target.resource_id) and (not names or action.name in names)
    ]
    return answer("ScheduledActions", found, request)


def delete(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """DeleteScheduledAction."""
    check_addressed(request)
    target = account.targets.get(request["ResourceId"])
    if target is None or request["ScheduledActionName"] not in target.actions:
        name = request["ScheduledActionName"]
        raise not_found("scheduled action", request["ResourceId"], "scheduled action name", name)
    del target.actions[request["ScheduledActionName"]]
    return {}


def due(target: ScalableTarget, now: float) -> Iterator[ScheduledAction]:
    """The actions whose time has come, the earliest first; each is due once, however late it is looked at."""
    waiting = [(action.next_run, action) for action in target.actions.values() if action.next_run is not None]
    for next_run, action in sorted(waiting, key=lambda pair: pair[0]):
        if next_run <= now:
            action.next_run = action.schedule.after(now)
            yield action
