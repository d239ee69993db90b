"""How many instances policies ask for: arithmetic on plain values.

https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-step-scaling-policies.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCALE_IN_BELOW = 0.9
"""The part of the target below which AWS scales in; the gap to the target keeps it from swinging."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Wish:
    """The count that one policy asks for, and why.

    Attributes:
        count: The instances that it asks for; None when it does not know for lack of data.
        count_from_before: The same, as if the last scale-out had not been.
        cause: For the scaling activity.
        scale_in: Whether it may scale in.
        out_cooldown: Seconds after a scale-out in which only a larger one starts.
        in_cooldown: Seconds after a change in which no scale-in starts.
    """

    count: int | None
    count_from_before: int | None
    cause: str
    scale_in: bool
    out_cooldown: float
    in_cooldown: float


@dataclass(frozen=True)
class Situation:
    """What a variant's policies decide upon.

    Attributes:
        count: The instances that it has.
        minimum: The fewest that it may have.
        maximum: The most that it may have.
        since_out: Seconds since the last scale-out.
        since_in: Seconds since the last scale-in.
        can_out: Whether scaling out is allowed at all.
        can_in: Whether scaling in is allowed at all.
    """

    count: int
    minimum: int
    maximum: int
    since_out: float = math.inf
    since_in: float = math.inf
    can_out: bool = True
    can_in: bool = True


def decide(wishes: Sequence[Wish], now: Situation) -> tuple[int, str] | None:
    """The count to scale to and the cause, or None: the largest wish wins, and all must agree to scale in."""
    known = [(wish.count, wish) for wish in wishes if wish.count is not None]
    if any(count > now.count for count, _ in known):
        count, wish = max(((_count_out(wish, now), wish) for _, wish in known), key=lambda pair: pair[0])
        count = min(count, now.maximum)
        return (count, wish.cause) if now.can_out and count > now.count else None
    shrinking = [wish for wish in wishes if wish.scale_in]
    if not now.can_in or not shrinking:
        return None
    for wish in shrinking:
        if wish.count is None or min(now.since_out, now.since_in) < wish.in_cooldown:
            return None
    # a policy that never scales in keeps what it asks for
    count, wish = max(known, key=lambda pair: pair[0])
    count = max(count, now.minimum)
    return (count, wish.cause) if count < now.count else None


def _count_out(wish: Wish, now: Situation) -> int:
    # during the cooldown what was added is part of what the next one asks for, so only a larger one does anything
    count = wish.count if now.since_out >= wish.out_cooldown else wish.count_from_before
    return count or 0


def tracked(count: int, metric: float, target: float) -> int:
    """The instance count that brings a metric, which is spread over the instances, to its target."""
    if SCALE_IN_BELOW * target <= metric <= target:
        return count
    return math.ceil(count * metric / target - _ROUNDING)


def stepped(configuration: Mapping[str, Any], count: int, breach: float) -> int:
    """The instance count that a step policy makes of one, when its alarm's metric is ``breach`` over the threshold."""
    step = _step(configuration["StepAdjustments"], breach)
    if step is None:
        return count
    amount: int = step["ScalingAdjustment"]
    kind = configuration["AdjustmentType"]
    if kind == "ExactCapacity":
        return amount
    if kind == "ChangeInCapacity":
        return count + amount
    change = count * amount / 100
    # towards zero beyond one instance, away from it below
    whole = math.trunc(change) if abs(change) >= 1 else int(math.copysign(math.ceil(abs(change)), change))
    least = configuration.get("MinAdjustmentMagnitude", 0)
    return count + (whole if abs(whole) >= least else int(math.copysign(least, amount)))


def _step(steps: Sequence[Mapping[str, Any]], breach: float) -> Mapping[str, Any] | None:
    for step in steps:
        lower = step.get("MetricIntervalLowerBound", -math.inf)
        upper = step.get("MetricIntervalUpperBound", math.inf)
        # the bound nearer to the threshold is part of a step
        if lower <= breach < upper if breach >= 0 else lower < breach <= upper:
            return step
    return None
