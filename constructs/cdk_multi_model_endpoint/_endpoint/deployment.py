"""How an update reaches a live endpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.kinds import checked_fields
from cdk_multi_model_endpoint._rules.tokens import is_token
from cdk_multi_model_endpoint._rules.units import seconds, seconds_problems

Strategy = Literal["all_at_once", "canary", "linear", "rolling"]

# The share of the instances that one step may take, in percent
_STEP_LIMITS = {"canary": (1, 50), "linear": (10, 50), "rolling": (5, 50)}


@checked_fields
@dataclass(frozen=True, kw_only=True)
class DeploymentPolicy:
    """How traffic moves from the old fleet to the new one when the endpoint is updated.

    Made by ``all_at_once``, ``canary``, ``linear`` or ``rolling``. Blue/green (the first three) starts a whole second
    fleet before traffic moves; rolling replaces instances in batches, for large instances that are hard to get twice.
    Add alarms with ``endpoint.add_rollback_alarms``: without them, only a fleet that does not start is rolled back.

    In an update under a policy, the names of the variants must stay the same.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
    """

    strategy: Strategy
    percent: int | None = None
    instances: int | None = None
    wait: cdk.Duration | None = None
    termination_wait: cdk.Duration | None = None
    maximum_execution_time: cdk.Duration | None = None

    @staticmethod
    def all_at_once(
        *, termination_wait: cdk.Duration | None = None, maximum_execution_time: cdk.Duration | None = None
    ) -> DeploymentPolicy:
        """Move all traffic at once: what SageMaker does by itself.

        Args:
            termination_wait: How long the old fleet stays for a rollback, up to an hour. Left out, it goes at once.
            maximum_execution_time: After what the update is given up and rolled back, 10 minutes to 8 hours.
        """
        return DeploymentPolicy(
            strategy="all_at_once", termination_wait=termination_wait, maximum_execution_time=maximum_execution_time
        )

    @staticmethod
    def canary(
        *,
        wait: cdk.Duration,
        percent: int | None = None,
        instances: int | None = None,
        termination_wait: cdk.Duration | None = None,
        maximum_execution_time: cdk.Duration | None = None,
    ) -> DeploymentPolicy:
        """Move a small part of the traffic, watch, then move the rest.

        Args:
            wait: How long to watch, up to an hour.
            percent: The part in percent of the instances, 1 to 50. Give this or ``instances``.
            instances: The part in instances, at most half of them.
            termination_wait: As for ``all_at_once``.
            maximum_execution_time: As for ``all_at_once``; longer than the waits together.
        """
        return DeploymentPolicy(
            strategy="canary",
            wait=wait,
            percent=percent,
            instances=instances,
            termination_wait=termination_wait,
            maximum_execution_time=maximum_execution_time,
        )

    @staticmethod
    def linear(
        *,
        wait: cdk.Duration,
        percent: int | None = None,
        instances: int | None = None,
        termination_wait: cdk.Duration | None = None,
        maximum_execution_time: cdk.Duration | None = None,
    ) -> DeploymentPolicy:
        """Move the traffic in equal steps, and watch after each.

        Args:
            wait: How long to watch after a step, up to an hour.
            percent: A step in percent of the instances, 10 to 50. Give this or ``instances``.
            instances: A step in instances, a tenth to half of them.
            termination_wait: As for ``all_at_once``.
            maximum_execution_time: As for ``all_at_once``; longer than the waits together.
        """
        return DeploymentPolicy(
            strategy="linear",
            wait=wait,
            percent=percent,
            instances=instances,
            termination_wait=termination_wait,
            maximum_execution_time=maximum_execution_time,
        )

    @staticmethod
    def rolling(
        *,
        wait: cdk.Duration,
        percent: int | None = None,
        instances: int | None = None,
        maximum_execution_time: cdk.Duration | None = None,
    ) -> DeploymentPolicy:
        """Replace the instances in batches, and watch after each. Only for endpoints with one variant.

        Args:
            wait: How long to watch after a batch, up to an hour.
            percent: A batch in percent of the instances, 5 to 50. Give this or ``instances``.
            instances: A batch in instances, a twentieth to half of them.
            maximum_execution_time: As for ``all_at_once``; longer than the waits together.
        """
        return DeploymentPolicy(
            strategy="rolling",
            wait=wait,
            percent=percent,
            instances=instances,
            maximum_execution_time=maximum_execution_time,
        )

    def problems(self, instance_counts: Sequence[int]) -> Iterator[str]:
        """What SageMaker would refuse for variants with these initial instance counts."""
        durations = [
            *seconds_problems("deployment wait", self.wait, 0, 3600),
            *seconds_problems("deployment termination_wait", self.termination_wait, 0, 3600),
            *seconds_problems("deployment maximum_execution_time", self.maximum_execution_time, 600, 28800),
        ]
        yield from durations
        if self.strategy == "rolling" and len(instance_counts) > 1:
            yield f"deployment must not be rolling for several variants, got {len(instance_counts)}: use linear"
        if self.strategy == "all_at_once":
            return
        if (self.percent is None) == (self.instances is None):
            yield f"deployment {self.strategy} needs either percent or instances, got {self.percent}, {self.instances}"
            return
        low, high = _STEP_LIMITS[self.strategy]
        yield from validate.within(f"deployment {self.strategy} percent", self.percent, low, high, "percent")
        for count in instance_counts:
            if is_token(count) or count < 1:  # the latter is refused for itself
                continue
            if count == 1:
                yield (
                    f"deployment must be all_at_once for a variant with one instance, got {self.strategy}: there is no "
                    "half of an instance; raise initial_instance_count to at least 2"
                )
            elif (
                self.instances is not None
                and not is_token(self.instances)
                and not low <= 100 * self.instances / count <= high
            ):
                yield (
                    f"deployment {self.strategy} instances must be {max(1, math.ceil(count * low / 100))} to "
                    f"{count * high // 100} for {count} instances, got {self.instances}"
                )
        if durations:
            return
        waits = self._waits(min((count for count in instance_counts if not is_token(count)), default=0))
        maximum = seconds(self.maximum_execution_time)
        if maximum is not None and not is_token(maximum) and waits >= maximum:
            yield (
                f"deployment maximum_execution_time must be more than the waits' {waits:.0f} seconds, got {maximum:.0f}"
            )

    def render(
        self, rollback: sagemaker.CfnEndpoint.AutoRollbackConfigProperty | None
    ) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
        """The policy as the endpoint has it."""
        maximum = seconds(self.maximum_execution_time)
        if self.strategy == "rolling":
            size = self._capacity_size()
            assert size is not None  # problems() saw to it
            return sagemaker.CfnEndpoint.DeploymentConfigProperty(
                rolling_update_policy=sagemaker.CfnEndpoint.RollingUpdatePolicyProperty(
                    maximum_batch_size=size,
                    wait_interval_in_seconds=seconds(self.wait) or 0,
                    maximum_execution_timeout_in_seconds=maximum,
                ),
                auto_rollback_configuration=rollback,
            )
        return sagemaker.CfnEndpoint.DeploymentConfigProperty(
            blue_green_update_policy=sagemaker.CfnEndpoint.BlueGreenUpdatePolicyProperty(
                traffic_routing_configuration=sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(
                    type=self.strategy.upper(),
                    wait_interval_in_seconds=seconds(self.wait) or 0,
                    canary_size=self._capacity_size() if self.strategy == "canary" else None,
                    linear_step_size=self._capacity_size() if self.strategy == "linear" else None,
                ),
                termination_wait_in_seconds=seconds(self.termination_wait),
                maximum_execution_timeout_in_seconds=maximum,
            ),
            auto_rollback_configuration=rollback,
        )

    def _capacity_size(self) -> sagemaker.CfnEndpoint.CapacitySizeProperty | None:
        if self.percent is not None:
            return sagemaker.CfnEndpoint.CapacitySizeProperty(type="CAPACITY_PERCENT", value=self.percent)
        if self.instances is not None:
            return sagemaker.CfnEndpoint.CapacitySizeProperty(type="INSTANCE_COUNT", value=self.instances)
        return None

    def _waits(self, instance_count: int) -> float:
        """The least seconds that the waits take together."""
        if is_token(self.percent) or is_token(self.instances):
            step = 50.0  # the largest
        else:
            step = self.percent if self.percent is not None else 100 * (self.instances or 1) / max(instance_count, 1)
        steps = 1 if self.strategy == "canary" else math.ceil(100 / max(step, 1)) - 1
        waits = [seconds(self.wait) or 0, seconds(self.termination_wait) or 0]
        if any(is_token(wait) for wait in waits):
            return 0
        return waits[0] * steps + waits[1]
