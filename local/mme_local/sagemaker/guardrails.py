"""Deployment guardrails: how much of the traffic an update moves when, and what sends it back.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from mme_local.aws.permissions import Permission
from mme_local.aws.scope import Scope
from mme_local.hosting.plane import Hosting, HostingError
from mme_local.hosting.spec import EndpointSpec
from mme_local.sagemaker.permissions import Roles
from mme_local.sagemaker.rules import instances_of

log = structlog.get_logger(__name__)

Report = Callable[[str, float], None]
"""Is told the stage of the deployment, in the words of ``VariantStatus``, and the new fleet's share of the traffic."""

_POLL_SECONDS = 2.0


class Clock(Protocol):
    """Time, which tests let pass as they like."""

    def now(self) -> float:
        """Seconds since some moment."""

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds."""


class RealClock:
    """The time that really passes."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds."""
        await asyncio.sleep(seconds)


class Alarms(Protocol):
    """The account's CloudWatch alarms."""

    async def states(self, scope: Scope, names: Sequence[str]) -> Mapping[str, str]:
        """The states of those alarms that exist, by name; whatever goes wrong is raised."""
        ...


class Watch:
    """The rollback alarms of one deployment.

    Args:
        alarms: Where to look.
        names: What to look at.
        scope: The endpoint's account and region.
        role: The execution role, whose permission it takes.
        roles: What is known of roles, when policies are enforced.
    """

    def __init__(
        self,
        alarms: Alarms | None,
        names: Sequence[str],
        scope: Scope,
        *,
        role: str | None = None,
        roles: Roles | None = None,
    ) -> None:
        self._alarms = alarms
        self.names = names
        self._scope = scope
        self._role = role
        self._roles = roles

    async def check(self, *, first: bool = False) -> None:
        """``HostingError`` when an alarm is in the state ALARM, or, at first, when one does not exist."""
        if not self.names:
            return
        if self._alarms is None:
            raise HostingError("the rollback alarms cannot be watched: there is no CloudWatch")
        self._check_permission()
        try:
            states = await self._alarms.states(self._scope, self.names)
        except Exception as error:
            raise HostingError(f"the rollback alarms could not be described: {error}") from error
        missing = [name for name in self.names if name not in states]
        if missing:
            raise HostingError(f"the rollback alarm(s) {', '.join(missing)} do not exist")
        tripped = [name for name in self.names if states[name] == "ALARM"]
        if tripped:
            when = "before the deployment" if first else "during the deployment"
            raise HostingError(f"the rollback alarm(s) {', '.join(tripped)} were in the state ALARM {when}")

    def _check_permission(self) -> None:
        if self._roles is None:
            return
        for name in self.names:
            arn = self._scope.arn("cloudwatch", f"alarm:{name}")
            allowed = self._role is not None and self._roles.allows(
                self._role, Permission("cloudwatch:DescribeAlarms", arn)
            )
            if not allowed:
                raise HostingError(
                    f"the execution role {self._role} is not authorized to perform: cloudwatch:DescribeAlarms on"
                    f" resource: {arn}"
                )


@dataclass(frozen=True)
class Step:
    """One shift of traffic, and what follows it.

    Attributes:
        share: The part of the requests that the new fleet answers from now on.
        new: What the new fleet is before the shift, when that changes.
        wait: Seconds in which the alarms are watched.
        old: What the old fleet is after the wait, when that changes.
    """

    share: float
    wait: float
    new: EndpointSpec | None = None
    old: EndpointSpec | None = None


@dataclass(frozen=True)
class Plan:
    """A deployment from its first instance to the end of the old fleet.

    Attributes:
        first: What the new fleet starts as.
        steps: The shifts in order; the last one moves all traffic.
        back: What the fleets are on the way back, the old one first, and the new one's share then.
        termination_wait: Seconds that the old fleet stays when everything is done, the alarms watched.
        time_limit: Seconds after which the deployment is given up.
    """

    first: EndpointSpec
    steps: tuple[Step, ...]
    back: Callable[[float], Sequence[tuple[EndpointSpec, float, EndpointSpec | None]]]
    termination_wait: float = 0.0
    time_limit: float = math.inf


def plan(config: Mapping[str, Any], old: EndpointSpec, new: EndpointSpec) -> Plan:
    """The plan for a ``DeploymentConfig``: blue/green with all traffic at once when it names no policy."""
    if rolling := config.get("RollingUpdatePolicy"):
        return _rolling(rolling, old, new)
    policy = config.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {})
    wait = float(routing.get("WaitIntervalInSeconds", 0))
    total = sum(variant.instance_count for variant in new.variants)
    size = routing.get({"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(routing.get("Type"), ""))
    activated = sum(instances_of(size, variant.instance_count) for variant in new.variants) if size else total
    shares = [1.0]
    if activated < total:
        count = 2 if routing["Type"] == "CANARY" else math.ceil(total / activated)
        shares = [activated * number / total for number in range(1, count)] + [1.0]
    # "between incremental steps"; when there is but one, it is the time in which the alarms are watched
    waits = [wait] * (len(shares) - 1) + [wait if len(shares) == 1 else 0.0]
    return Plan(
        first=new,
        steps=tuple(Step(share, pause) for share, pause in zip(shares, waits, strict=True)),
        back=lambda share: [(old, 0.0, None)],
        termination_wait=float(policy.get("TerminationWaitInSeconds", 0)),
        time_limit=float(policy.get("MaximumExecutionTimeoutInSeconds", math.inf)),
    )


def _rolling(policy: Mapping[str, Any], old: EndpointSpec, new: EndpointSpec) -> Plan:
    (before,), (after,) = old.variants, new.variants
    batch = instances_of(policy["MaximumBatchSize"], after.instance_count)
    steps = []
    for number in range(1, math.ceil(after.instance_count / batch) + 1):
        count = min(after.instance_count, number * batch)
        share = count / after.instance_count
        steps.append(
            Step(
                share,
                float(policy["WaitIntervalInSeconds"]),
                new=_resized(new, count) if number > 1 else None,
                old=_resized(old, math.ceil(before.instance_count * (1 - share))) if share < 1 else None,
            )
        )
    size = policy.get("RollbackMaximumBatchSize", {"Type": "CAPACITY_PERCENT", "Value": 100})
    back_by = instances_of(size, after.instance_count)

    def back(share: float) -> list[tuple[EndpointSpec, float, EndpointSpec | None]]:
        way = []
        left = round(after.instance_count * share)
        while left > 0:
            left = max(0, left - back_by)
            rest = left / after.instance_count
            returned = _resized(old, math.ceil(before.instance_count * (1 - rest)))
            way.append((returned, rest, _resized(new, left) if left else None))
        return way or [(old, 0.0, None)]

    return Plan(
        first=_resized(new, batch),
        steps=tuple(steps),
        back=back,
        time_limit=float(policy.get("MaximumExecutionTimeoutInSeconds", math.inf)),
    )


def _resized(spec: EndpointSpec, count: int) -> EndpointSpec:
    return replace(spec, variants=tuple(replace(variant, instance_count=count) for variant in spec.variants))


class Rollout:
    """One update that is under way.

    Args:
        hosting: The data plane, which runs the old fleet.
        plan: What to do.
        watch: The alarms that send everything back.
        clock: Measures the waits.
        report: Hears of every stage.
    """

    def __init__(self, hosting: Hosting, plan: Plan, watch: Watch, clock: Clock, report: Report) -> None:
        self._hosting = hosting
        self._plan = plan
        self._watch = watch
        self._clock = clock
        self._report = report
        self._name = plan.first.name
        self._share = 0.0
        self._deadline = clock.now() + plan.time_limit

    async def run(self) -> None:
        """Do it; ``HostingError`` says why all traffic is back at the old fleet."""
        await self._watch.check(first=True)
        self._report("Creating", 0.0)
        await self._hosting.begin(self._plan.first)
        try:
            for step in self._plan.steps:
                await self._take(step)
            if self._plan.termination_wait:
                await self._bake(self._plan.termination_wait)
        except Exception as error:  # whatever it was, the endpoint must not stay between its fleets
            log.error("rolling back", endpoint=self._name, reason=str(error))
            failure = await self._roll_back()
            if failure is not None:
                raise HostingError(f"{error}; the old fleet went on with fewer instances: {failure}") from error
            raise
        self._report("Deleting", 1.0)
        await self._hosting.finish(self._name, keep_new=True)

    async def _take(self, step: Step) -> None:
        if step.new is not None:
            self._report("Updating", self._share)
            await self._hosting.resize(step.new, new=True)
        self._report("ActivatingTraffic", step.share)
        self._share = step.share
        await self._hosting.shift(self._name, step.share)
        log.info("traffic shifted", endpoint=self._name, share=round(step.share, 3))
        await self._bake(step.wait)
        if step.old is not None:
            self._report("Updating", self._share)
            await self._hosting.resize(step.old, new=False)

    async def _bake(self, seconds: float) -> None:
        self._report("Baking", self._share)
        end = self._clock.now() + seconds
        while True:
            over = self._clock.now() >= end
            if self._watch.names:
                await self._watch.check()
                # an alarm cannot see what has not been delivered
                await self._hosting.flush_metrics()
                await self._watch.check()
            if self._clock.now() > self._deadline:
                raise HostingError(f"the deployment did not finish within {self._plan.time_limit:.0f} seconds")
            if over:
                return
            await self._clock.sleep(min(_POLL_SECONDS, end - self._clock.now()))

    async def _roll_back(self) -> HostingError | None:
        failure = None
        for old, share, new in self._plan.back(self._share):
            self._report("Updating", self._share)
            try:
                await self._hosting.resize(old, new=False)
            except HostingError as error:
                failure = error
            self._share = share
            self._report("ActivatingTraffic", share)
            await self._hosting.shift(self._name, share)
            if new is not None:
                await self._hosting.resize(new, new=True)
        self._report("Deleting", 0.0)
        await self._hosting.finish(self._name, keep_new=False)
        return failure
