"""Every metric of AWS's page, with its namespace, statistic and dimensions."""

from __future__ import annotations

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import InvocationHttpResponseCode, VariantMetrics

METRICS = {
    "invocations": ("AWS/SageMaker", "Invocations", "Sum"),
    "invocations_per_instance": ("AWS/SageMaker", "InvocationsPerInstance", "Sum"),
    "invocation_model_errors": ("AWS/SageMaker", "InvocationModelErrors", "Sum"),
    "model_latency": ("AWS/SageMaker", "ModelLatency", "Average"),
    "overhead_latency": ("AWS/SageMaker", "OverheadLatency", "Average"),
    "model_cache_hit": ("AWS/SageMaker", "ModelCacheHit", "Average"),
    "model_loading_wait_time": ("AWS/SageMaker", "ModelLoadingWaitTime", "Average"),
    "model_loading_time": ("AWS/SageMaker", "ModelLoadingTime", "Average"),
    "model_downloading_time": ("AWS/SageMaker", "ModelDownloadingTime", "Average"),
    "model_unloading_time": ("AWS/SageMaker", "ModelUnloadingTime", "Average"),
    "loaded_model_count": ("/aws/sagemaker/Endpoints", "LoadedModelCount", "Average"),
    "cpu_utilization": ("/aws/sagemaker/Endpoints", "CPUUtilization", "Average"),
    "memory_utilization": ("/aws/sagemaker/Endpoints", "MemoryUtilization", "Average"),
    "disk_utilization": ("/aws/sagemaker/Endpoints", "DiskUtilization", "Average"),
    "gpu_utilization": ("/aws/sagemaker/Endpoints", "GPUUtilization", "Average"),
    "gpu_memory_utilization": ("/aws/sagemaker/Endpoints", "GPUMemoryUtilization", "Average"),
}
VARIANT = VariantMetrics(cdk.Stack(cdk.App()), "theirs", "AllTraffic")
DIMENSIONS = {"EndpointName": "theirs", "VariantName": "AllTraffic"}


def test_there_is_a_test_for_every_method() -> None:
    methods = {name.removeprefix("metric_") for name in dir(VARIANT) if name.startswith("metric_")}
    assert methods == {*METRICS, "invocation_response_code"}


@pytest.mark.parametrize("name", METRICS)
def test_metric(name: str) -> None:
    metric = getattr(VARIANT, f"metric_{name}")()
    assert (metric.namespace, metric.metric_name, metric.statistic) == METRICS[name]
    assert metric.dimensions == DIMENSIONS


@pytest.mark.parametrize("name", METRICS)
def test_description_names_the_default_statistic(name: str) -> None:
    assert f"({METRICS[name][2]}" in str(getattr(VariantMetrics, f"metric_{name}").__doc__)


@pytest.mark.parametrize("code", InvocationHttpResponseCode)
def test_response_codes(code: InvocationHttpResponseCode) -> None:
    metric = VARIANT.metric_invocation_response_code(code)
    assert metric.metric_name in ("Invocation4XXErrors", "Invocation5XXErrors")
    assert metric.statistic == "Sum"


def test_takes_the_options_of_a_cdk_metric() -> None:
    metric = VARIANT.metric_invocations(
        statistic="Average",
        period=cdk.Duration.minutes(1),
        label="all",
        dimensions_map={"EndpointConfigName": "new"},
    )
    assert metric.statistic == "Average"
    assert metric.period.to_seconds() == 60
    assert metric.label == "all"
    assert metric.dimensions == {**DIMENSIONS, "EndpointConfigName": "new"}
