"""A dashboard and alarms for an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_multi_model_endpoint._models.bucket import place_problems
from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any, warn
from cdk_multi_model_endpoint._rules.kinds import checked_fields
from cdk_multi_model_endpoint._rules.places import place_of
from cdk_multi_model_endpoint._rules.tokens import is_token
from multi_model_endpoint.artifacts.findings import Problem

from .call_log import call_log_warnings, call_log_widgets
from .dashboard import widgets
from .metrics import InvocationHttpResponseCode
from .variant import ProductionVariant

_ERRORS_5XX = InvocationHttpResponseCode.INVOCATION_5XX_ERRORS


@checked_fields
@dataclass(frozen=True, kw_only=True)
class AlarmThresholds:
    """When to raise an alarm, for each variant; None leaves an alarm out.

    An alarm is raised by 3 bad periods in a row, of a minute for errors and of 5 minutes for all else; a period without
    data is a good one.
    There is no alarm on memory: a healthy multi-model endpoint fills its memory with models.

    Args:
        invocation_5xx_ratio: The share of requests answered with 5XX, 0 to 1.
        model_latency: The 99th percentile of the time that the container takes to answer.
        model_cache_hit_ratio: The share of requests whose model was loaded, 0 to 1; the alarm is raised below it.
            This and ``model_unloads`` are left out for a container that does not cache models.
        model_loading_wait_time: The 99th percentile of the time that requests wait for their model. After 60 seconds
            SageMaker answers ``ModelNotReadyException``.
        model_unloads: Unloads in 5 minutes: many mean that the models don't fit into memory (thrashing).
        disk_utilization_percent: How full the disks are, 0 to 100.

    Raises:
        InvalidEndpointError: If an alarm would be raised always or never.
    """

    invocation_5xx_ratio: float | None = 0.01
    model_latency: cdk.Duration | None = field(default_factory=lambda: cdk.Duration.seconds(10))
    model_cache_hit_ratio: float | None = 0.5
    model_loading_wait_time: cdk.Duration | None = field(default_factory=lambda: cdk.Duration.seconds(30))
    model_unloads: float | None = 100
    disk_utilization_percent: float | None = 90

    def __post_init__(self) -> None:
        """Refuse what makes no alarm."""
        raise_if_any("AlarmThresholds", self._problems())

    def _problems(self) -> Iterator[Problem]:
        yield from validate.raised_above("invocation_5xx_ratio", self.invocation_5xx_ratio, 1)
        yield from validate.raised_above("disk_utilization_percent", self.disk_utilization_percent, 100)
        yield from validate.raised_above("model_unloads", self.model_unloads)
        hits = self.model_cache_hit_ratio
        if hits is not None and not is_token(hits) and not 0 < hits <= 1:
            yield Problem(
                "outOfRange",
                f"model_cache_hit_ratio must be above 0 and at most 1, got {hits}: the alarm is raised below it; None "
                "leaves it out",
            )
        for argument in ("model_latency", "model_loading_wait_time"):
            duration: cdk.Duration | None = getattr(self, argument)
            if duration is None:
                continue
            if duration.is_unresolved():
                yield Problem(
                    "notKnownAtSynth",
                    f"{argument} must be known at synth, got a token, which CloudFormation can't multiply: leave it "
                    f"out by None, and make an alarm of the variant's metric_{argument}, in microseconds",
                )
            elif not duration.to_milliseconds() > 0:
                yield Problem(
                    "outOfRange", f"{argument} must be above 0, got {duration.to_milliseconds()} milliseconds"
                )


class EndpointMonitoring(Construct):
    """A CloudWatch dashboard and alarms for the variants that an endpoint has.

    Made by ``MultiModelEndpoint.monitor``.

    Attributes:
        dashboard: The dashboard: traffic, errors, latency, loading, models in memory and instances, for each variant,
            and what the call log says of models.
        alarms: All the alarms.
        error_alarms: Those on errors, which make good rollback alarms. The others don't: after every update, latencies
            rise and the cache hit ratio falls while routing relearns where the models are.
    """

    dashboard: cloudwatch.Dashboard
    alarms: Sequence[cloudwatch.Alarm]
    error_alarms: Sequence[cloudwatch.Alarm]

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_name: str,
        variants: Sequence[ProductionVariant],
        call_log: logs.ILogGroup | None,
        alarm_topic: sns.ITopic | None,
        thresholds: AlarmThresholds,
    ) -> None:
        if alarm_topic is not None:
            region = alarm_topic.env.region
            raise_if_any(scope, place_problems("alarm_topic", place_of(scope), region))
        super().__init__(scope, construct_id)
        self.error_alarms = [
            self._create_error_alarm(variant, thresholds.invocation_5xx_ratio)
            for variant in variants
            if thresholds.invocation_5xx_ratio is not None
        ]
        others = [alarm for variant in variants for alarm in self._create_alarms(variant, thresholds)]
        self.alarms = [*self.error_alarms, *others]
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            default_interval=cdk.Duration.hours(3),
            widgets=[row for variant in variants for row in widgets(variant)],
        )
        if call_log is not None:
            self._add_models(endpoint_name, call_log)
        if alarm_topic is not None:
            self.add_alarm_action(actions.SnsAction(alarm_topic))

    def add_alarm_action(self, *alarm_actions: cloudwatch.IAlarmAction) -> None:
        """Do something when any of the alarms is raised, and again when it is over."""
        for alarm in self.alarms:
            alarm.add_alarm_action(*alarm_actions)
            alarm.add_ok_action(*alarm_actions)

    def _add_models(self, endpoint_name: str, call_log: logs.ILogGroup) -> None:
        place = place_of(self)
        warn(self, call_log_warnings(place, call_log))
        for row in call_log_widgets(place, endpoint_name, call_log):
            self.dashboard.add_widgets(*row)

    def _create_error_alarm(self, variant: ProductionVariant, threshold: float) -> cloudwatch.Alarm:
        return self._create_alarm(
            f"{variant._id}-5XX",
            variant.metric_invocation_response_code(_ERRORS_5XX, statistic="Average", period=cdk.Duration.minutes(1)),
            threshold,
            "Requests fail: the container or SageMaker answers 5XX",
        )

    def _create_alarms(self, variant: ProductionVariant, thresholds: AlarmThresholds) -> Iterator[cloudwatch.Alarm]:
        def alarm(
            name: str, metric: cloudwatch.Metric, threshold: float, description: str, *, below: bool = False
        ) -> cloudwatch.Alarm:
            return self._create_alarm(f"{variant._id}-{name}", metric, threshold, description, below=below)

        if thresholds.model_latency is not None:
            yield alarm(
                "ModelLatency",
                variant.metric_model_latency(statistic="p99"),
                thresholds.model_latency.to_milliseconds() * 1000,
                "The container takes long to answer",
            )
        if thresholds.model_loading_wait_time is not None:
            yield alarm(
                "LoadingWait",
                variant.metric_model_loading_wait_time(statistic="p99"),
                thresholds.model_loading_wait_time.to_milliseconds() * 1000,
                "Requests wait long for their model to be downloaded and loaded",
            )
        if thresholds.model_cache_hit_ratio is not None and variant.model_cache:
            yield alarm(
                "CacheHits",
                variant.metric_model_cache_hit(),
                thresholds.model_cache_hit_ratio,
                "Most requests find their model unloaded: the instances have too little memory for the models in use",
                below=True,
            )
        if thresholds.model_unloads is not None and variant.model_cache:
            yield alarm(
                "Thrashing",
                variant.metric_model_unloading_time(statistic="SampleCount"),
                thresholds.model_unloads,
                "Models are unloaded again and again: the instances have too little memory for the models in use",
            )
        if thresholds.disk_utilization_percent is not None:
            yield alarm(
                "Disk",
                variant.metric_disk_utilization(statistic="Maximum"),
                thresholds.disk_utilization_percent,
                "The disk is full of models: SageMaker deletes and downloads them again",
            )

    def _create_alarm(
        self, construct_id: str, metric: cloudwatch.Metric, threshold: float, description: str, *, below: bool = False
    ) -> cloudwatch.Alarm:
        return metric.create_alarm(
            self,
            construct_id,
            alarm_description=description,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
            if below
            else cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold=threshold,
            evaluation_periods=3,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
