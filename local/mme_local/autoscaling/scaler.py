"""What makes it automatic: every few seconds, each target's schedule, bounds and policies are looked at."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from mme_local.autoscaling import actions
from mme_local.autoscaling.account import Account
from mme_local.autoscaling.metrics import WINDOW, Alarm, CloudWatch
from mme_local.autoscaling.policies import DEFAULT_COOLDOWN, STEP
from mme_local.autoscaling.policy_metrics import INVOCATIONS, TARGET_TRACKING, tracked_metric, variant_metric
from mme_local.autoscaling.records import Activity, Policy, ScalableTarget
from mme_local.autoscaling.tracking import Situation, Wish, decide, stepped, tracked
from mme_local.aws.errors import ServiceError
from mme_local.sagemaker import SageMaker
from mme_local.sagemaker.records import Endpoint

log = structlog.get_logger(__name__)


class Scaler:
    """Scales the variants of every account and region.

    Args:
        sagemaker: Whose endpoints have the variants.
        cloudwatch: Has the metrics and the alarms.
        accounts: All accounts and regions.
        clock: Tells the time in seconds since 1970.
        interval: Seconds between two looks.
    """

    def __init__(
        self,
        sagemaker: SageMaker,
        cloudwatch: CloudWatch,
        accounts: Callable[[], Iterable[Account]],
        clock: Callable[[], float],
        interval: float,
    ) -> None:
        self._sagemaker = sagemaker
        self._cloudwatch = cloudwatch
        self._accounts = accounts
        self._clock = clock
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._cloudwatch.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.look()

    async def look(self) -> None:
        """Look at every target once, and act."""
        for account in self._accounts():
            for target in list(account.targets.values()):
                try:
                    self._run_schedule(account, target)
                    self.keep_bounds(account, target)
                    await self._follow_policies(account, target)
                except Exception:
                    # one target's trouble must not keep the others from being scaled
                    log.exception("scaling failed", resource=target.resource_id)

    def keep_bounds(self, account: Account, target: ScalableTarget, reason: str | None = None) -> None:
        """Bring a count outside of the bounds to the nearest one, if the endpoint takes changes just now."""
        count = self._count(account, target)
        if count is None:
            return
        if count < target.minimum:
            self._apply(
                account, target, count, target.minimum, reason or f"minimum capacity was set to {target.minimum}"
            )
        elif count > max(1, target.maximum):
            self._apply(
                account,
                target,
                count,
                max(1, target.maximum),
                reason or f"maximum capacity was set to {target.maximum}",
            )

    def _run_schedule(self, account: Account, target: ScalableTarget) -> None:
        for action in actions.due(target, self._clock()):
            if target.is_suspended("ScheduledScaling"):
                continue
            bounds = action.request["ScalableTargetAction"]
            minimum, maximum = bounds.get("MinCapacity", target.minimum), bounds.get("MaxCapacity", target.maximum)
            # one bound alone moves the other along
            target.minimum = min(minimum, maximum) if "MinCapacity" not in bounds else minimum
            target.maximum = max(minimum, maximum) if "MaxCapacity" not in bounds else maximum
            log.info("scheduled action", resource=target.resource_id, action=action.name, **bounds)
            self.keep_bounds(account, target, f"scheduled action name {action.name} was triggered")

    async def _follow_policies(self, account: Account, target: ScalableTarget) -> None:
        count = self._count(account, target)
        if count is None or not target.policies:
            return
        wishes = await self._wishes(account, target, count)
        # reading metrics takes a while, in which everything may have changed
        if self._count(account, target) != count or account.targets.get(target.resource_id) is not target:
            return
        now = self._clock()
        decision = decide(
            wishes,
            Situation(
                count,
                max(1, target.minimum),
                target.maximum,
                since_out=now - target.scaled_out if target.scaled_out is not None else float("inf"),
                since_in=now - target.scaled_in if target.scaled_in is not None else float("inf"),
                can_out=not target.is_suspended("DynamicScalingOut"),
                can_in=not target.is_suspended("DynamicScalingIn"),
            ),
        )
        if decision is not None:
            self._apply(account, target, count, *decision, by_policy=True)

    async def _wishes(self, account: Account, target: ScalableTarget, count: int) -> list[Wish]:
        policies = list(target.policies.values())
        wishes = [await self._tracking_wish(account, target, p, count) for p in policies if p.kind == TARGET_TRACKING]
        steps = {policy.arn: policy for policy in policies if policy.kind == STEP}
        for alarm in await self._cloudwatch.alarms(account.scope) if steps else ():
            for arn in alarm.policy_arns:
                if arn in steps:
                    wishes += await self._step_wish(account, target, steps[arn], alarm, count)
        return wishes

    async def _tracking_wish(self, account: Account, target: ScalableTarget, policy: Policy, count: int) -> Wish:
        settings, now = policy.configuration, self._clock()
        metric = tracked_metric(target, settings)
        value = await self._cloudwatch.value(account.scope, metric, now)
        before = target.count_before or count
        predefined = settings.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        if predefined == INVOCATIONS:
            # SageMaker emits zeros without traffic
            value = value or 0.0
            invocations = await self._cloudwatch.value(account.scope, variant_metric(target, "Invocations", "Sum"), now)
            if invocations is not None and value > 0:
                # this machine may run fewer instances than the variant has, and during the last minute others
                value, before = invocations / count, count
        goal: float = settings["TargetValue"]
        young = now - policy.created < WINDOW
        wanted = None if value is None else tracked(count, value, goal)
        return Wish(
            # a minute that began before the policy is not one to shrink by
            None if young and wanted is not None and wanted < count else wanted,
            None if value is None else tracked(before, value, goal),
            f"metric {metric.name} of {value or 0:g} with a target of {goal:g} triggered policy {policy.name}",
            scale_in=not settings.get("DisableScaleIn", False),
            out_cooldown=settings.get("ScaleOutCooldown", DEFAULT_COOLDOWN),
            in_cooldown=settings.get("ScaleInCooldown", DEFAULT_COOLDOWN),
        )

    async def _step_wish(
        self, account: Account, target: ScalableTarget, policy: Policy, alarm: Alarm, count: int
    ) -> list[Wish]:
        value = await self._cloudwatch.value(account.scope, alarm.metric, self._clock())
        if value is None:
            return []
        breach = value - alarm.threshold
        wanted = stepped(policy.configuration, count, breach)
        cooldown = policy.configuration.get("Cooldown", DEFAULT_COOLDOWN)
        cause = f"monitor alarm {alarm.name} in state ALARM triggered policy {policy.name}"
        before = stepped(policy.configuration, target.count_before or count, breach)
        # an alarm to scale out by has no say in scaling in
        return [Wish(wanted, before, cause, wanted < count, cooldown, cooldown)]

    def _count(self, account: Account, target: ScalableTarget) -> int | None:
        endpoint = self._endpoint(account, target)
        if endpoint is None or endpoint.status != "InService":
            return None
        for variant in endpoint.variants:
            if variant.name == target.variant_name:
                return variant.desired_instance_count
        return None

    def _endpoint(self, account: Account, target: ScalableTarget) -> Endpoint | None:
        return self._sagemaker.region(account.scope).endpoints.find(target.endpoint_name)

    def _apply(
        self,
        account: Account,
        target: ScalableTarget,
        old: int,
        new: int,
        cause: str,
        by_policy: bool = False,
    ) -> None:
        activity = Activity(
            target.resource_id, f"Setting desired instance count to {new}.", cause, self._clock(), "InProgress"
        )
        account.activities.append(activity)
        log.info("scaling", resource=target.resource_id, instances=new, before=old, cause=cause)
        change = {"VariantName": target.variant_name, "DesiredInstanceCount": new}
        request: dict[str, Any] = {"EndpointName": target.endpoint_name, "DesiredWeightsAndCapacities": [change]}

        def finish(reason: str | None) -> None:
            activity.end = self._clock()
            if reason is not None:
                activity.status = "Failed"
                activity.message = f"Failed to set desired instance count to {new}. Reason: {reason}"
                return
            activity.status = "Successful"
            activity.message = (
                f"Successfully set desired instance count to {new}. Change successfully fulfilled by sagemaker."
            )
            if by_policy and new > old:
                target.scaled_out, target.count_before = activity.end, old
            elif by_policy:
                target.scaled_in = activity.end

        try:
            self._sagemaker.call(account.scope, "UpdateEndpointWeightsAndCapacities", request)
        except ServiceError as error:
            finish(str(error))
            return
        endpoint = self._endpoint(account, target)
        assert endpoint is not None, "it was just changed"
        assert endpoint.operation is not None, "it is being changed"

        def changed(operation: asyncio.Task[str | None]) -> None:
            finish("mme-local is stopping" if operation.cancelled() else operation.result())

        endpoint.operation.add_done_callback(changed)
