"""Autoscaling of a variant's instance count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, TypedDict, Unpack

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.tokens import is_token
from cdk_multi_model_endpoint._rules.units import seconds_problems
from multi_model_endpoint.artifacts.findings import Problem
from multi_model_endpoint.instances import instance_types

from .metrics import VariantMetrics

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"


class TrackingOptions(TypedDict, total=False):
    """What every scaling policy can be told.

    Attributes:
        scale_in_cooldown: How long to wait after removing instances; 5 minutes.
        scale_out_cooldown: How long to wait after adding instances; 5 minutes.
        disable_scale_in: Never remove instances.
    """

    scale_in_cooldown: cdk.Duration
    scale_out_cooldown: cdk.Duration
    disable_scale_in: bool


class ScalableInstanceCount(Construct):
    """A variant's instance count as something that scales.

    Made by ``ProductionVariant.auto_scale_instance_count``. With several policies, the one that asks for the most
    instances wins. Cooldowns are SageMaker's 5 minutes unless given.

    While a variant is autoscaled, SageMaker refuses to change its instance type or to remove it: remove the scaling in
    one deployment, and change the variant in the next; or add a variant of another name, and move the traffic.

    https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoints-autoscaling.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint: sagemaker.CfnEndpoint,
        endpoint_name: str,
        metrics: VariantMetrics,
        instance_type: str,
        min_capacity: int,
        max_capacity: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self._metrics = metrics
        self._instance_type = instance_type
        self._target = appscaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension=_DIMENSION,
            resource_id=f"endpoint/{endpoint_name}/variant/{metrics.variant_name}",
            min_capacity=min_capacity,
            max_capacity=max_capacity,
        )
        # The variant can be registered once the endpoint is in service
        self._target.add_resource_dependency(endpoint)
        # The L1 above and not the L2, which adds a role that SageMaker's service-linked role makes useless
        self._imported = appscaling.ScalableTarget.from_scalable_target_attributes(
            self,
            "Imported",
            scalable_target_id=self._target.ref,
            scalable_dimension=_DIMENSION,
            service_namespace="sagemaker",
        )
        self._tracked: set[str] = set()
        self._schedules: list[appscaling.CfnScalableTarget.ScheduledActionProperty] = []

    @checked
    def scale_on_invocations(
        self,
        construct_id: str,
        *,
        max_requests_per_second: float,
        safety_factor: float = 0.5,
        **options: Unpack[TrackingOptions],
    ) -> None:
        """Keep the requests per instance below what an instance can take: what AWS recommends first.

        Args:
            construct_id: The policy's id.
            max_requests_per_second: What one instance was seen to take in a load test.
            safety_factor: The share of that to aim at, above 0 up to 1.
            options: Cooldowns and ``disable_scale_in``, as in ``TrackingOptions``.

        Raises:
            InvalidEndpointError: If a number is a token, since CloudFormation can't multiply; or if another policy
                tracks the metric already, as for the following policies.

        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-loadtest.html
        """
        way_out = (
            "use scale_to_track_metric with the variant's metric_invocations_per_instance, and give the target in "
            "requests a minute"
        )
        problems = [
            *_known("max_requests_per_second", max_requests_per_second, way_out),
            *_known("safety_factor", safety_factor, way_out),
            *_positive("max_requests_per_second", max_requests_per_second),
        ]
        if not is_token(safety_factor) and not 0 < safety_factor <= 1:
            problems.append(Problem("outOfRange", f"safety_factor must be above 0 and at most 1, got {safety_factor}"))
        raise_if_any(self, [*problems, *_cooldowns(options), *self._tracked_already("Invocations")])
        appscaling.TargetTrackingScalingPolicy(
            self,
            construct_id,
            scaling_target=self._imported,
            predefined_metric=appscaling.PredefinedMetric.SAGEMAKER_VARIANT_INVOCATIONS_PER_INSTANCE,
            target_value=max_requests_per_second * safety_factor * 60,
            **options,
        )

    @checked
    def scale_on_cpu_utilization(
        self,
        construct_id: str,
        *,
        target_utilization_percent: float,
        **options: Unpack[TrackingOptions],
    ) -> None:
        """Keep the CPUs busy to a degree.

        Args:
            construct_id: The policy's id.
            target_utilization_percent: Percent of the whole instance, above 0 up to 100. The metric runs to 100 for
                each vCPU; the target is multiplied by their number.
            options: Cooldowns and ``disable_scale_in``, as in ``TrackingOptions``.
        """
        self._track_utilization(
            construct_id,
            self._metrics.metric_cpu_utilization(period=cdk.Duration.minutes(1)),
            target_utilization_percent,
            self._cores("vCPUs"),
            options,
        )

    @checked
    def scale_on_gpu_utilization(
        self,
        construct_id: str,
        *,
        target_utilization_percent: float,
        **options: Unpack[TrackingOptions],
    ) -> None:
        """Keep the GPUs busy to a degree.

        Args:
            construct_id: The policy's id.
            target_utilization_percent: Percent of all the instance's GPUs, above 0 up to 100.
            options: Cooldowns and ``disable_scale_in``, as in ``TrackingOptions``.
        """
        self._track_utilization(
            construct_id,
            self._metrics.metric_gpu_utilization(period=cdk.Duration.minutes(1)),
            target_utilization_percent,
            self._cores("GPUs"),
            options,
        )

    @checked
    def scale_on_gpu_memory_utilization(
        self,
        construct_id: str,
        *,
        target_utilization_percent: float,
        **options: Unpack[TrackingOptions],
    ) -> None:
        """Keep the GPUs' memory full to a degree. Models stay loaded until memory is needed, so this rarely falls.

        Args:
            construct_id: The policy's id.
            target_utilization_percent: Percent of the memory of all the instance's GPUs, above 0 up to 100.
            options: Cooldowns and ``disable_scale_in``, as in ``TrackingOptions``.
        """
        self._track_utilization(
            construct_id,
            self._metrics.metric_gpu_memory_utilization(period=cdk.Duration.minutes(1)),
            target_utilization_percent,
            self._cores("GPUs"),
            options,
        )

    @checked
    def scale_on_memory_utilization(
        self,
        construct_id: str,
        *,
        target_utilization_percent: float,
        **options: Unpack[TrackingOptions],
    ) -> None:
        """Keep the memory full to a degree, against cold starts. Models stay loaded until memory is needed.

        Args:
            construct_id: The policy's id.
            target_utilization_percent: Percent of the instance's memory, above 0 up to 100.
            options: Cooldowns and ``disable_scale_in``, as in ``TrackingOptions``.
        """
        self._track_utilization(
            construct_id,
            self._metrics.metric_memory_utilization(period=cdk.Duration.minutes(1)),
            target_utilization_percent,
            1,
            options,
        )

    @checked
    def scale_to_track_metric(
        self,
        construct_id: str,
        *,
        metric: cloudwatch.IMetric,
        target_value: float,
        **options: Unpack[TrackingOptions],
    ) -> None:
        """Keep any metric at a value. It must fall when instances are added.

        Args:
            construct_id: The policy's id.
            metric: The metric, such as one of the variant's own.
            target_value: The value to keep it at, in the metric's own unit.
            options: Cooldowns and ``disable_scale_in``, as in ``TrackingOptions``.
        """
        problems = [*_positive("target_value", target_value), *_cooldowns(options)]
        if isinstance(metric, cloudwatch.Metric):
            what = f"{metric.namespace} {metric.metric_name} {metric.statistic} {metric.dimensions}"
            problems += self._tracked_already(what, metric.metric_name)
        raise_if_any(self, problems)
        appscaling.TargetTrackingScalingPolicy(
            self,
            construct_id,
            scaling_target=self._imported,
            custom_metric=metric,
            target_value=target_value,
            **options,
        )

    @checked
    def scale_on_schedule(
        self,
        construct_id: str,
        *,
        schedule: appscaling.Schedule,
        min_capacity: int | None = None,
        max_capacity: int | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        time_zone: cdk.TimeZone | None = None,
    ) -> None:
        """Change the bounds at given times.

        Args:
            construct_id: The action's name.
            schedule: When.
            min_capacity: The new minimum; give this, ``max_capacity`` or both.
            max_capacity: The new maximum.
            start_time: From when on the schedule counts.
            end_time: Until when.
            time_zone: What the schedule's hours are in; UTC unless given.
        """
        problems = list(validate.capacity(min_capacity, max_capacity))
        if min_capacity is None and max_capacity is None:
            problems.append(
                Problem(
                    "scheduleWithoutCapacity",
                    "min_capacity or max_capacity must be given: a schedule changes one or both",
                )
            )
        if any(action.scheduled_action_name == construct_id for action in self._schedules):
            problems.append(
                Problem(
                    "duplicateSchedule",
                    f"construct_id must be new among the schedules, got {construct_id!r} a second time",
                )
            )
        raise_if_any(self, problems)
        self._schedules.append(
            appscaling.CfnScalableTarget.ScheduledActionProperty(
                scheduled_action_name=construct_id,
                schedule=schedule.expression_string,
                scalable_target_action=appscaling.CfnScalableTarget.ScalableTargetActionProperty(
                    min_capacity=min_capacity, max_capacity=max_capacity
                ),
                start_time=start_time,
                end_time=end_time,
                timezone=None if time_zone is None else time_zone.timezone_name,
            )
        )
        self._target.scheduled_actions = [*self._schedules]

    def _track_utilization(
        self,
        construct_id: str,
        metric: cloudwatch.Metric,
        percent: float,
        cores: int,
        options: TrackingOptions,
    ) -> None:
        problems = [*validate.percentage("target_utilization_percent", percent)]
        if cores > 1:
            way_out = (
                f"use scale_to_track_metric, and give the target in percent of one vCPU or GPU, of which it has {cores}"
            )
            problems += _known("target_utilization_percent", percent, way_out)
        raise_if_any(self, problems)
        self.scale_to_track_metric(construct_id, metric=metric, target_value=percent * cores, **options)

    def _tracked_already(self, what: str, name: str | None = None) -> Iterator[Problem]:
        """Whether another policy tracks a metric: AWS takes one per metric."""
        if what in self._tracked:
            yield Problem(
                "metricTrackedTwice", f"a variant has one policy per metric, got a second one on {name or what}"
            )
        self._tracked.add(what)

    def _cores(self, kind: Literal["vCPUs", "GPUs"]) -> int:
        """How many times 100 the metric runs to."""
        known = None if is_token(self._instance_type) else instance_types().get(self._instance_type)
        cores = None if known is None else known.vcpus if kind == "vCPUs" else known.gpus
        if not cores:
            reason = f"has no {kind}" if cores == 0 else f"has a number of {kind} that this library does not know"
            message = (
                f"instance_type {self._instance_type!r} {reason}: use scale_to_track_metric, and give the target in "
                f"percent of one of the {kind}"
            )
            raise_if_any(self, [Problem("coresUnknown", message)])
        assert cores is not None
        return cores


def _cooldowns(options: TrackingOptions) -> Iterator[Problem]:
    yield from seconds_problems("scale_in_cooldown", options.get("scale_in_cooldown"), 0, 2**31 - 1)
    yield from seconds_problems("scale_out_cooldown", options.get("scale_out_cooldown"), 0, 2**31 - 1)


def _known(argument: str, value: float, way_out: str) -> Iterator[Problem]:
    """Whether a number can be calculated with: CloudFormation has no arithmetic."""
    if is_token(value):
        yield Problem(
            "notKnownAtSynth",
            f"{argument} must be known at synth, got a token, which CloudFormation can't multiply: {way_out}",
        )


def _positive(argument: str, value: float) -> Iterator[Problem]:
    if not is_token(value) and not value > 0:
        yield Problem("outOfRange", f"{argument} must be above 0, got {value}")
