"""How an update reaches a live endpoint."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.tokens import is_token
from cdk_multi_model_endpoint._rules.units import seconds, seconds_problems
from multi_model_endpoint.artifacts.findings import Problem


class DeploymentPolicy(ABC):
    """How traffic moves from the old fleet to the new one when the endpoint is updated.

    Made by ``all_at_once``, ``canary``, ``linear`` or ``rolling``. Blue/green (the first three) starts a whole second
    fleet before traffic moves; rolling replaces instances in batches, for large instances that are hard to get twice.
    Add alarms with ``endpoint.add_rollback_alarms``: without them, only a fleet that does not start is rolled back.

    In an update under a policy, the names of the variants must stay the same.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
    """

    @staticmethod
    @checked
    def all_at_once(
        *, termination_wait: cdk.Duration | None = None, maximum_execution_time: cdk.Duration | None = None
    ) -> DeploymentPolicy:
        """Move all traffic at once: what SageMaker does by itself.

        Args:
            termination_wait: How long the old fleet stays for a rollback, up to an hour. Left out, it goes at once.
            maximum_execution_time: After what the update is given up and rolled back, 10 minutes to 8 hours.
        """
        return _BlueGreen(
            routing=_AllAtOnce(), termination_wait=termination_wait, maximum_execution_time=maximum_execution_time
        )

    @staticmethod
    @checked
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
        return _BlueGreen(
            routing=_Canary(wait=wait, percent=percent, instances=instances),
            termination_wait=termination_wait,
            maximum_execution_time=maximum_execution_time,
        )

    @staticmethod
    @checked
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
        return _BlueGreen(
            routing=_Linear(wait=wait, percent=percent, instances=instances),
            termination_wait=termination_wait,
            maximum_execution_time=maximum_execution_time,
        )

    @staticmethod
    @checked
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
        return _Rolling(
            batches=_Batches(wait=wait, percent=percent, instances=instances),
            maximum_execution_time=maximum_execution_time,
        )

    @property
    @abstractmethod
    def _kind(self) -> str:
        """The factory that makes it, for messages."""

    @abstractmethod
    def _problems(self, instance_counts: Sequence[int]) -> Iterator[Problem]:
        """What SageMaker would refuse for variants with these initial instance counts."""

    @abstractmethod
    def _render(
        self, rollback: sagemaker.CfnEndpoint.AutoRollbackConfigProperty | None
    ) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
        """The policy as the endpoint has it."""


@dataclass(frozen=True, kw_only=True)
class _AllAtOnce:
    kind: ClassVar[str] = "all_at_once"

    def duration_problems(self) -> Iterator[Problem]:
        yield from ()

    def problems(self, instance_counts: Sequence[int]) -> Iterator[Problem]:
        yield from ()

    def least_seconds(self, instance_counts: Sequence[int]) -> float | None:
        return None

    def render(self) -> sagemaker.CfnEndpoint.TrafficRoutingConfigProperty:
        return sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(type="ALL_AT_ONCE", wait_interval_in_seconds=0)


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """Traffic or instances that move a share at a time, with a wait after each but the last."""

    kind: ClassVar[str]
    limits: ClassVar[tuple[int, int]]  # of a step's share of the instances, in percent

    wait: cdk.Duration
    percent: int | None
    instances: int | None

    def duration_problems(self) -> Iterator[Problem]:
        yield from seconds_problems("deployment wait", self.wait, 0, 3600)

    def problems(self, instance_counts: Sequence[int]) -> Iterator[Problem]:
        if (self.percent is None) == (self.instances is None):
            yield Problem(
                "invalidDeploymentStep",
                f"deployment {self.kind} needs either percent or instances, got {self.percent}, {self.instances}",
            )
            return
        low, high = self.limits
        yield from validate.within(f"deployment {self.kind} percent", self.percent, low, high, "percent")
        for count in instance_counts:
            if is_token(count) or count < 1:  # the latter is refused for itself
                continue
            if count == 1:
                yield Problem(
                    "deploymentNeedsTwoInstances",
                    f"deployment must be all_at_once for a variant with one instance, got {self.kind}: there is no "
                    "half of an instance; raise initial_instance_count to at least 2",
                )
            elif (
                self.instances is not None
                and not is_token(self.instances)
                and not low <= 100 * self.instances / count <= high
            ):
                yield Problem(
                    "invalidDeploymentStep",
                    f"deployment {self.kind} instances must be {max(1, math.ceil(count * low / 100))} to "
                    f"{count * high // 100} for {count} instances, got {self.instances}",
                )

    def least_seconds(self, instance_counts: Sequence[int]) -> float | None:
        """The least time that the waits take together; None where it can't be known."""
        wait = self.wait.to_seconds()
        if is_token(wait) or (self.percent is None) == (self.instances is None):
            return None
        if is_token(self.percent) or is_token(self.instances):
            share = 50.0  # the largest
        elif self.percent is not None:
            share = self.percent
        else:
            fewest = min((count for count in instance_counts if not is_token(count)), default=0)
            share = 100 * (self.instances or 1) / max(fewest, 1)
        return wait * self.waits(max(share, 1))

    def waits(self, share: float) -> int:
        """How many waits there are with steps of that percentage."""
        return math.ceil(100 / share) - 1

    def size(self) -> sagemaker.CfnEndpoint.CapacitySizeProperty:
        if self.percent is not None:
            return sagemaker.CfnEndpoint.CapacitySizeProperty(type="CAPACITY_PERCENT", value=self.percent)
        assert self.instances is not None  # problems() saw to it
        return sagemaker.CfnEndpoint.CapacitySizeProperty(type="INSTANCE_COUNT", value=self.instances)


class _Canary(_Steps):
    kind = "canary"
    limits = (1, 50)

    def waits(self, share: float) -> int:
        return 1

    def render(self) -> sagemaker.CfnEndpoint.TrafficRoutingConfigProperty:
        return sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(
            type="CANARY", wait_interval_in_seconds=self.wait.to_seconds(), canary_size=self.size()
        )


class _Linear(_Steps):
    kind = "linear"
    limits = (10, 50)

    def render(self) -> sagemaker.CfnEndpoint.TrafficRoutingConfigProperty:
        return sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(
            type="LINEAR", wait_interval_in_seconds=self.wait.to_seconds(), linear_step_size=self.size()
        )


class _Batches(_Steps):
    kind = "rolling"
    limits = (5, 50)


@dataclass(frozen=True, kw_only=True)
class _BlueGreen(DeploymentPolicy):
    routing: _AllAtOnce | _Canary | _Linear
    termination_wait: cdk.Duration | None
    maximum_execution_time: cdk.Duration | None

    @property
    def _kind(self) -> str:
        return self.routing.kind

    def _problems(self, instance_counts: Sequence[int]) -> Iterator[Problem]:
        durations = [
            *self.routing.duration_problems(),
            *seconds_problems("deployment termination_wait", self.termination_wait, 0, 3600),
            *_maximum_problems(self.maximum_execution_time),
        ]
        yield from durations
        yield from self.routing.problems(instance_counts)
        if not durations:
            least = self.routing.least_seconds(instance_counts)
            yield from _time_problems(self.maximum_execution_time, least, seconds(self.termination_wait) or 0)

    def _render(
        self, rollback: sagemaker.CfnEndpoint.AutoRollbackConfigProperty | None
    ) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
        return sagemaker.CfnEndpoint.DeploymentConfigProperty(
            blue_green_update_policy=sagemaker.CfnEndpoint.BlueGreenUpdatePolicyProperty(
                traffic_routing_configuration=self.routing.render(),
                termination_wait_in_seconds=seconds(self.termination_wait),
                maximum_execution_timeout_in_seconds=seconds(self.maximum_execution_time),
            ),
            auto_rollback_configuration=rollback,
        )


@dataclass(frozen=True, kw_only=True)
class _Rolling(DeploymentPolicy):
    batches: _Batches
    maximum_execution_time: cdk.Duration | None

    @property
    def _kind(self) -> str:
        return self.batches.kind

    def _problems(self, instance_counts: Sequence[int]) -> Iterator[Problem]:
        durations = [*self.batches.duration_problems(), *_maximum_problems(self.maximum_execution_time)]
        yield from durations
        if len(instance_counts) > 1:
            yield Problem(
                "rollingSeveralVariants",
                f"deployment must not be rolling for several variants, got {len(instance_counts)}: use linear",
            )
        yield from self.batches.problems(instance_counts)
        if not durations:
            yield from _time_problems(self.maximum_execution_time, self.batches.least_seconds(instance_counts), 0)

    def _render(
        self, rollback: sagemaker.CfnEndpoint.AutoRollbackConfigProperty | None
    ) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
        return sagemaker.CfnEndpoint.DeploymentConfigProperty(
            rolling_update_policy=sagemaker.CfnEndpoint.RollingUpdatePolicyProperty(
                maximum_batch_size=self.batches.size(),
                wait_interval_in_seconds=self.batches.wait.to_seconds(),
                maximum_execution_timeout_in_seconds=seconds(self.maximum_execution_time),
            ),
            auto_rollback_configuration=rollback,
        )


def _maximum_problems(maximum: cdk.Duration | None) -> Iterator[Problem]:
    yield from seconds_problems("deployment maximum_execution_time", maximum, 600, 28800)


def _time_problems(maximum: cdk.Duration | None, least: float | None, termination_wait: float) -> Iterator[Problem]:
    limit = seconds(maximum)
    if limit is None or least is None or is_token(limit) or is_token(termination_wait):
        return
    if (waits := least + termination_wait) >= limit:
        yield Problem(
            "deploymentTimeTooShort",
            f"deployment maximum_execution_time must be more than the waits' {waits:.0f} seconds, got {limit:.0f}",
        )
