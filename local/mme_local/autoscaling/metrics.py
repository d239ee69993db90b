"""Metrics and alarms as the local CloudWatch has them."""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from mme_local.aws.scope import Scope
from mme_local.hosting import loopback

WINDOW = 60.0
"""Seconds of a metric that are looked at: SageMaker's metrics have a period of a minute."""


@dataclass(frozen=True)
class Metric:
    """A metric and how its values of a minute become one."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str


@dataclass(frozen=True)
class Alarm:
    """An alarm in the state ALARM that triggers policies."""

    name: str
    metric: Metric
    threshold: float
    policy_arns: tuple[str, ...]


class CloudWatch(Protocol):
    """What the scaler reads."""

    async def value(self, scope: Scope, metric: Metric, end: float) -> float | None:
        """The metric over the minute before ``end``; None without data."""

    async def alarms(self, scope: Scope) -> Sequence[Alarm]:
        """The alarms that are in the state ALARM."""
        ...

    def close(self) -> None:
        """Stop reading."""


class LocalCloudWatch:
    """Asks the CloudWatch of this very process, from a thread of its own: it answers on our event loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "mme-scaling")
        self._clients: dict[Scope, Any] = {}

    async def value(self, scope: Scope, metric: Metric, end: float) -> float | None:
        """The metric over the minute before ``end``, which need not be a full minute of the clock."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._value, scope, metric, end)

    async def alarms(self, scope: Scope) -> Sequence[Alarm]:
        """The alarms that are in the state ALARM."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._alarms, scope)

    def close(self) -> None:
        """Stop reading, without waiting for a call that this process no longer answers."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _client(self, scope: Scope) -> Any:
        if scope not in self._clients:
            self._clients[scope] = loopback.client("cloudwatch", os.environ["AWS_ENDPOINT_URL"], scope.region)
        return self._clients[scope]

    def _value(self, scope: Scope, metric: Metric, end: float) -> float | None:
        answer = self._client(scope).get_metric_statistics(
            Namespace=metric.namespace,
            MetricName=metric.name,
            Dimensions=[{"Name": name, "Value": value} for name, value in metric.dimensions],
            StartTime=datetime.datetime.fromtimestamp(end - WINDOW, datetime.UTC),
            EndTime=datetime.datetime.fromtimestamp(end, datetime.UTC),
            Period=int(WINDOW),
            Statistics=["SampleCount", "Sum", "Minimum", "Maximum"],
        )
        return combined(answer["Datapoints"], metric.statistic)

    def _alarms(self, scope: Scope) -> list[Alarm]:
        pages = self._client(scope).get_paginator("describe_alarms").paginate(StateValue="ALARM")
        return [
            Alarm(
                name=alarm["AlarmName"],
                metric=Metric(
                    alarm["Namespace"],
                    alarm["MetricName"],
                    tuple((dimension["Name"], dimension["Value"]) for dimension in alarm.get("Dimensions", [])),
                    alarm["Statistic"],
                ),
                threshold=float(alarm["Threshold"]),
                policy_arns=tuple(alarm.get("AlarmActions", [])),
            )
            for page in pages
            for alarm in page["MetricAlarms"]
            # neither percentiles nor metric math have one number of a minute to step by
            if alarm.get("ActionsEnabled", True) and alarm.get("Statistic") and alarm.get("MetricName")
        ]


def combined(points: Sequence[Mapping[str, Any]], statistic: str) -> float | None:
    """One value of the data points of a window: it can lie across two minutes of the clock."""
    points = [point for point in points if point["SampleCount"] > 0]
    if not points:
        return None
    samples = sum(point["SampleCount"] for point in points)
    total = sum(point["Sum"] for point in points)
    values = {
        "SampleCount": samples,
        "Sum": total,
        "Average": total / samples,
        "Minimum": min(point["Minimum"] for point in points),
        "Maximum": max(point["Maximum"] for point in points),
    }
    return float(values[statistic])
