"""CloudWatch metrics: counted in memory on the request path, delivered in batches from a background task.

Names, namespaces, units and dimensions are those of SageMaker's own metrics:
https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import structlog

from mme_local.hosting import loopback

_log = structlog.get_logger("mme_local.platform")

INVOCATION_NAMESPACE = "AWS/SageMaker"
INSTANCE_NAMESPACE = "/aws/sagemaker/Endpoints"

# PutMetricData takes at most this many distinct values in one datum.
_MAX_VALUES = 150
# It takes up to 1,000 data and 1 MB a call; with 150 values in each, 100 stay well below.
_MAX_DATA = 100

_LAST_FLUSH = 2.0

MICROSECONDS = "Microseconds"
PERCENT = "Percent"
NONE = "None"


def microseconds(seconds: float) -> int:
    """Return seconds as the whole microseconds that SageMaker's metrics count."""
    return round(seconds * 1e6)


@dataclass
class VariantMetrics:
    """What happened on one variant since the last delivery: per metric, how often each value was seen.

    Histograms rather than statistic sets, because CloudWatch computes no percentile from the latter and alarms on p99
    latency are what people set.
    """

    endpoint_name: str
    variant_name: str
    config_name: str | None = None
    region: str = "us-east-1"
    by_config: bool = False
    """Whether the metrics are delivered with the dimension ``EndpointConfigName`` too, as from an update on that shifts
    traffic step by step: an alarm can then tell the new fleet from the old one."""
    histograms: dict[str, dict[float, int]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Count one value of a metric; ``KeyError`` for one that ``UNITS`` does not have."""
        histogram = self.histograms.get(name)
        if histogram is None:
            _check_known(name)
            histogram = self.histograms[name] = {}
        histogram[value] = histogram.get(value, 0) + 1

    def take(self) -> dict[str, dict[float, int]]:
        """Return what was counted and start anew."""
        taken, self.histograms = self.histograms, {}
        return taken

    def gauge(self, name: str, value: float) -> Gauge:
        """Return a measurement of one of the variant's instances."""
        _check_known(name)
        config_name = self.config_name if self.by_config else None
        return Gauge(self.endpoint_name, self.variant_name, name, value, config_name, self.region)


@dataclass(frozen=True)
class Gauge:
    """A measurement of one instance at one moment."""

    endpoint_name: str
    variant_name: str
    name: str
    value: float
    config_name: str | None = None
    """With which it is delivered once more."""
    region: str = "us-east-1"


UNITS = {
    "Invocations": NONE,
    "InvocationsPerInstance": NONE,
    "Invocation4XXErrors": NONE,
    "Invocation5XXErrors": NONE,
    "InvocationModelErrors": NONE,
    "ModelCacheHit": NONE,
    "LoadedModelCount": NONE,
    "ModelLatency": MICROSECONDS,
    "OverheadLatency": MICROSECONDS,
    "ModelLoadingWaitTime": MICROSECONDS,
    "ModelDownloadingTime": MICROSECONDS,
    "ModelLoadingTime": MICROSECONDS,
    "ModelUnloadingTime": MICROSECONDS,
    "CPUUtilization": PERCENT,
    "MemoryUtilization": PERCENT,
    "DiskUtilization": PERCENT,
}
"""All metrics that there are, with their units."""


def _check_known(name: str) -> None:
    if name not in UNITS:
        raise KeyError(f"{name} has no unit: enter the metric into UNITS")


class Publisher:
    """Delivers metrics to CloudWatch.

    Args:
        endpoint_url: Where CloudWatch is: the address that mme-local itself answers on.
        executor: Threads for the calls.
        interval: Seconds between two deliveries.
        gauges: Measures all instances.
    """

    def __init__(
        self,
        endpoint_url: str,
        *,
        executor: Executor,
        interval: float,
        gauges: Callable[[], Awaitable[list[Gauge]]],
    ) -> None:
        self._endpoint_url = endpoint_url
        self._executor = executor
        self._interval = interval
        self._gauges = gauges
        self._variants: list[VariantMetrics] = []
        self._gauged_minute = -1
        self._clients: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()

    def of(
        self, endpoint_name: str, variant_name: str, config_name: str | None = None, region: str = "us-east-1"
    ) -> VariantMetrics:
        """Return new counters, of a variant under a configuration, which are delivered until they are forgotten."""
        variant = VariantMetrics(endpoint_name, variant_name, config_name, region)
        self._variants.append(variant)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return variant

    def forget(self, counted: Iterable[VariantMetrics]) -> None:
        """Drop counters, with what was not delivered of them."""
        gone = {id(variant) for variant in counted}
        self._variants = [variant for variant in self._variants if id(variant) not in gone]

    async def flush(self) -> None:
        """Deliver everything counted so far; afterwards CloudWatch has it.

        Measurements of instances are delivered once a clock minute, so that the Sum of ``LoadedModelCount`` over a
        one-minute period is the number over all instances, as on SageMaker.
        """
        async with self._flushing:
            minute = int(time.time() // 60)
            gauges: list[Gauge] = []
            if minute != self._gauged_minute:
                gauges = await self._gauges()
                self._gauged_minute = minute if gauges else self._gauged_minute
            taken = [(variant, variant.take()) for variant in self._variants]
            data = [(v.region, INVOCATION_NAMESPACE, datum) for v, h in taken for datum in histogram_data(v, h)]
            data += [(gauge.region, INSTANCE_NAMESPACE, datum) for gauge in gauges for datum in gauge_data([gauge])]
            if not data:
                return
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._put, data)
            except Exception as error:
                # Losing a batch is better than a growing backlog: CloudWatch is this same process and may be closing.
                level = "debug" if self._task is None else "warning"
                getattr(_log, level)("metrics not delivered", data=len(data), error=str(error))

    async def close(self) -> None:
        """Stop delivering, after a last delivery."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            # CloudWatch may be closing as well, and then it may accept the call and not answer.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.flush(), _LAST_FLUSH)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.flush()

    def _put(self, data: list[tuple[str, str, dict[str, Any]]]) -> None:
        for region, namespace in sorted({(region, namespace) for region, namespace, _ in data}):
            chosen = [datum for *where, datum in data if where == [region, namespace]]
            for batch in _batches(chosen, _MAX_DATA):
                self._client(region).put_metric_data(Namespace=namespace, MetricData=batch)

    def _client(self, region: str) -> Any:
        if region not in self._clients:
            self._clients[region] = loopback.client("cloudwatch", self._endpoint_url, region)
        return self._clients[region]


def histogram_data(variant: VariantMetrics, histograms: dict[str, dict[float, int]]) -> Iterator[dict[str, Any]]:
    """Yield PutMetricData's data for what a variant counted."""
    now = datetime.datetime.now(datetime.UTC)
    config_name = variant.config_name if variant.by_config else None
    for name, histogram in histograms.items():
        values = histogram if len(histogram) <= _MAX_VALUES else _coarser(histogram)
        for batch in _batches(sorted(values.items()), _MAX_VALUES):
            for dimensions in _dimensions(variant.endpoint_name, variant.variant_name, config_name):
                yield {
                    "MetricName": name,
                    "Dimensions": dimensions,
                    "Timestamp": now,
                    "Unit": UNITS[name],
                    "Values": [float(value) for value, _ in batch],
                    "Counts": [float(count) for _, count in batch],
                }


def gauge_data(gauges: Iterable[Gauge]) -> Iterator[dict[str, Any]]:
    """Yield PutMetricData's data for measurements of instances."""
    now = datetime.datetime.now(datetime.UTC)
    for gauge in gauges:
        for dimensions in _dimensions(gauge.endpoint_name, gauge.variant_name, gauge.config_name):
            yield {
                "MetricName": gauge.name,
                "Dimensions": dimensions,
                "Timestamp": now,
                "Unit": UNITS[gauge.name],
                "Value": gauge.value,
            }


def _coarser(histogram: dict[float, int]) -> dict[float, int]:
    """Round to two significant digits: many different values then cost a hundred entries, each at most 5 % off."""
    rounded: dict[float, int] = {}
    for value, count in histogram.items():
        key = float(f"{value:.1e}")
        rounded[key] = rounded.get(key, 0) + count
    return rounded


def _dimensions(endpoint_name: str, variant_name: str, config_name: str | None) -> list[list[dict[str, str]]]:
    usual = [{"Name": "EndpointName", "Value": endpoint_name}, {"Name": "VariantName", "Value": variant_name}]
    return [usual] if config_name is None else [usual, [*usual, {"Name": "EndpointConfigName", "Value": config_name}]]


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
