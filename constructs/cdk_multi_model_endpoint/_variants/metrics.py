"""The CloudWatch metrics of a production variant.

All of an endpoint's metrics have the dimensions ``EndpointName`` and ``VariantName`` and a period of one minute; there
are none by model.

https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoint-cloudwatch-metrics.html
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypedDict, Unpack

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.places import place_of
from cdk_multi_model_endpoint._rules.tokens import is_token

INVOCATION_METRICS = "AWS/SageMaker"
INSTANCE_METRICS = "/aws/sagemaker/Endpoints"


class MetricOptions(TypedDict, total=False):
    """The options that every CDK metric has."""

    account: str
    color: str
    dimensions_map: Mapping[str, str]
    id: str
    label: str
    period: cdk.Duration
    region: str
    statistic: str
    unit: cloudwatch.Unit
    visible: bool


class InvocationHttpResponseCode(Enum):
    """The classes of responses that SageMaker counts."""

    INVOCATION_4XX_ERRORS = "Invocation4XXErrors"
    INVOCATION_5XX_ERRORS = "Invocation5XXErrors"


class VariantMetrics:
    """The metrics of one production variant, also of an imported endpoint's.

    Each method takes the options of a CDK metric (``statistic``, ``period``, ``label``, ``color`` …); the statistic
    named in its description is the default, and the period is 5 minutes.

    Attributes:
        variant_name: The variant's name.
    """

    variant_name: str

    def __init__(
        self, scope: Construct, endpoint_name: str, variant_name: str, elsewhere: MetricOptions | None = None
    ) -> None:
        self.variant_name = variant_name
        self._metrics_scope = scope
        self._elsewhere = elsewhere or MetricOptions()
        self._dimensions = {"EndpointName": endpoint_name, "VariantName": variant_name}

    @checked
    def metric(self, namespace: str, metric_name: str, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Any metric of this variant; the statistic is Average unless given.

        Args:
            namespace: ``AWS/SageMaker`` for invocations, ``/aws/sagemaker/Endpoints`` for instances.
            metric_name: The metric's name.
            options: The options of a CDK metric; ``dimensions_map`` is added to the variant's dimensions.
        """
        options.setdefault("statistic", "Average")
        options["dimensions_map"] = {**self._dimensions, **(options.get("dimensions_map") or {})}
        options = {**self._elsewhere, **options}
        place = place_of(self._metrics_scope)
        # the CDK names the endpoint's region and account where the metric is used in another
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=metric_name,
            stack_region=None if is_token(place.region) else place.region,
            stack_account=None if is_token(place.account) else place.account,
            **options,
        )

    def metric_invocations(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Requests (Sum)."""
        return self.metric(INVOCATION_METRICS, "Invocations", **_summed(options))

    def metric_invocation_response_code(
        self, response_code: InvocationHttpResponseCode, **options: Unpack[MetricOptions]
    ) -> cloudwatch.Metric:
        """Requests answered with 4XX or 5XX (Sum; the Average is their share of all requests)."""
        return self.metric(INVOCATION_METRICS, response_code.value, **_summed(options))

    def metric_invocations_per_instance(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Requests per instance (Sum): each counts 1 / instances. Autoscaling tracks it."""
        return self.metric(INVOCATION_METRICS, "InvocationsPerInstance", **_summed(options))

    def metric_invocation_model_errors(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Requests that the model's container did not answer with 2XX (Sum)."""
        return self.metric(INVOCATION_METRICS, "InvocationModelErrors", **_summed(options))

    def metric_model_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Microseconds that the container took to answer, the network inside the instance included (Average)."""
        return self.metric(INVOCATION_METRICS, "ModelLatency", **options)

    def metric_overhead_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Microseconds that SageMaker added to a request (Average)."""
        return self.metric(INVOCATION_METRICS, "OverheadLatency", **options)

    def metric_model_cache_hit(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Whether the model was already loaded, 0 to 1 (Average: the cache hit ratio)."""
        return self.metric(INVOCATION_METRICS, "ModelCacheHit", **options)

    def metric_model_loading_wait_time(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Microseconds that a request waited for its model to be downloaded, loaded or both (Average)."""
        return self.metric(INVOCATION_METRICS, "ModelLoadingWaitTime", **options)

    def metric_model_loading_time(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Microseconds that the container took to load a model (Average)."""
        return self.metric(INVOCATION_METRICS, "ModelLoadingTime", **options)

    def metric_model_downloading_time(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Microseconds that a model's download from S3 took (Average)."""
        return self.metric(INVOCATION_METRICS, "ModelDownloadingTime", **options)

    def metric_model_unloading_time(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Microseconds that the container took to unload a model (Average; SampleCount is the number of unloads)."""
        return self.metric(INVOCATION_METRICS, "ModelUnloadingTime", **options)

    def metric_loaded_model_count(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Models in the memory of an instance (Average). The Sum over all instances counts a model once on each."""
        return self.metric(INSTANCE_METRICS, "LoadedModelCount", **options)

    def metric_cpu_utilization(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Percent of one vCPU (Average): up to 100 times the instance's vCPUs."""
        return self.metric(INSTANCE_METRICS, "CPUUtilization", **options)

    def metric_memory_utilization(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Percent of the instance's memory (Average). A healthy multi-model endpoint fills its memory."""
        return self.metric(INSTANCE_METRICS, "MemoryUtilization", **options)

    def metric_disk_utilization(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Percent of the instance's disk (Average)."""
        return self.metric(INSTANCE_METRICS, "DiskUtilization", **options)

    def metric_gpu_utilization(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Percent of one GPU (Average): up to 100 times the instance's GPUs. GPU instances only."""
        return self.metric(INSTANCE_METRICS, "GPUUtilization", **options)

    def metric_gpu_memory_utilization(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Percent of one GPU's memory (Average): up to 100 times the instance's GPUs. GPU instances only."""
        return self.metric(INSTANCE_METRICS, "GPUMemoryUtilization", **options)


def _summed(options: MetricOptions) -> MetricOptions:
    options.setdefault("statistic", "Sum")
    return options
