"""What a dashboard shows of a variant: what its callers see, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from cdk_multi_model_endpoint._rules import checks as validate

from .metrics import InvocationHttpResponseCode, MetricOptions, VariantMetrics
from .variant import ProductionVariant


@dataclass(frozen=True)
class _Line:
    """A metric in a graph, by the minute."""

    metric: Callable[..., cloudwatch.Metric]
    label: str
    statistic: str | None = None
    color: str | None = None
    divisor: int = 1  # from the metric's unit to the graph's
    gpu: bool = False  # for instances with a GPU alone


@dataclass(frozen=True)
class _Graph:
    title: str
    unit: str
    lines: Sequence[_Line]
    ratios: Sequence[_Line] = ()


def _responses(code: InvocationHttpResponseCode) -> Callable[..., cloudwatch.Metric]:
    return lambda variant, **options: variant.metric_invocation_response_code(code, **options)


_MILLISECONDS = 1_000  # of microseconds
_SECONDS = 1_000_000
# of cloudwatch.Color, whose values are calls of the CDK
_ORANGE, _RED, _PURPLE = "#ff7f0e", "#d62728", "#9467bd"

_OF = VariantMetrics
_ROWS = [
    [
        _Graph(
            "traffic",
            "requests a minute",
            [
                _Line(_OF.metric_invocations, "all instances"),
                _Line(_OF.metric_invocations_per_instance, "each instance"),
            ],
        ),
        _Graph(
            "errors",
            "requests a minute",
            [
                _Line(_responses(InvocationHttpResponseCode.INVOCATION_4XX_ERRORS), "4XX", color=_ORANGE),
                _Line(_responses(InvocationHttpResponseCode.INVOCATION_5XX_ERRORS), "5XX", color=_RED),
                _Line(_OF.metric_invocation_model_errors, "not 2XX from the container", color=_PURPLE),
            ],
        ),
        _Graph(
            "latency",
            "milliseconds",
            [
                _Line(_OF.metric_model_latency, "model p50", "p50", divisor=_MILLISECONDS),
                _Line(_OF.metric_model_latency, "model p99", "p99", divisor=_MILLISECONDS),
                _Line(_OF.metric_overhead_latency, "overhead p50", "p50", divisor=_MILLISECONDS),
            ],
        ),
    ],
    [
        _Graph(
            "loading",
            "seconds",
            [
                _Line(_OF.metric_model_loading_wait_time, "wait p99", "p99", divisor=_SECONDS),
                _Line(_OF.metric_model_downloading_time, "download", divisor=_SECONDS),
                _Line(_OF.metric_model_loading_time, "load", divisor=_SECONDS),
            ],
        ),
        _Graph(
            "models in memory",
            "models",
            [
                _Line(_OF.metric_loaded_model_count, "loaded, all instances", "Sum"),
                _Line(_OF.metric_model_unloading_time, "unloads a minute", "SampleCount"),
            ],
            [_Line(_OF.metric_model_cache_hit, "cache hit ratio")],
        ),
        _Graph(
            "instances",
            "percent",
            [
                _Line(_OF.metric_cpu_utilization, "CPU (100 per vCPU)"),
                _Line(_OF.metric_memory_utilization, "memory"),
                _Line(_OF.metric_disk_utilization, "disk"),
                _Line(_OF.metric_gpu_utilization, "GPU (100 per GPU)", gpu=True),
                _Line(_OF.metric_gpu_memory_utilization, "GPU memory (100 per GPU)", gpu=True),
            ],
        ),
    ],
]


def widgets(variant: ProductionVariant) -> list[list[cloudwatch.IWidget]]:
    """The dashboard's rows for one variant."""
    known = validate.known_instance_type(variant.instance_type)
    has_gpu = known is not None and known.gpus > 0
    return [[_widget(graph, variant, has_gpu) for graph in row] for row in _ROWS]


def _widget(graph: _Graph, variant: ProductionVariant, has_gpu: bool) -> cloudwatch.IWidget:
    ratios = [_metric(line, variant) for line in graph.ratios]
    return cloudwatch.GraphWidget(
        title=f"{variant.variant_name}: {graph.title}",
        width=8,
        left=[_metric(line, variant) for line in graph.lines if has_gpu or not line.gpu],
        left_y_axis=cloudwatch.YAxisProps(label=graph.unit, min=0, show_units=False),
        right=ratios or None,
        right_y_axis=cloudwatch.YAxisProps(label="ratio", min=0, max=1, show_units=False) if ratios else None,
    )


def _metric(line: _Line, variant: ProductionVariant) -> cloudwatch.IMetric:
    minute = cdk.Duration.minutes(1)
    options: MetricOptions = {"period": minute}
    if line.statistic is not None:
        options["statistic"] = line.statistic
    if line.color is not None:
        options["color"] = line.color
    if line.divisor == 1:
        options["label"] = line.label
        return line.metric(variant, **options)
    key = line.label.replace(" ", "_")
    return cloudwatch.MathExpression(
        expression=f"{key} / {line.divisor}",
        using_metrics={key: line.metric(variant, **options)},
        label=line.label,
        period=minute,
    )
