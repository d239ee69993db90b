"""The metrics that target tracking policies keep at their targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mme_local.autoscaling.metrics import Metric
from mme_local.autoscaling.records import ScalableTarget

TARGET_TRACKING = "TargetTrackingScaling"
INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
PREDEFINED = {
    INVOCATIONS: ("InvocationsPerInstance", "Sum"),
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": ("ConcurrentRequestsPerModel", "Maximum"),
}


def tracked_metric(target: ScalableTarget, configuration: Mapping[str, Any]) -> Metric:
    """The metric that a target tracking policy keeps at its target."""
    if "PredefinedMetricSpecification" in configuration:
        name, statistic = PREDEFINED[configuration["PredefinedMetricSpecification"]["PredefinedMetricType"]]
        return variant_metric(target, name, statistic)
    custom = configuration["CustomizedMetricSpecification"]
    dimensions = tuple((dimension["Name"], dimension["Value"]) for dimension in custom.get("Dimensions", []))
    return Metric(custom["Namespace"], custom["MetricName"], dimensions, custom["Statistic"])


def variant_metric(target: ScalableTarget, name: str, statistic: str) -> Metric:
    """One of SageMaker's metrics of the target's variant."""
    dimensions = (("EndpointName", target.endpoint_name), ("VariantName", target.variant_name))
    return Metric("AWS/SageMaker", name, dimensions, statistic)
