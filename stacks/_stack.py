"""What both stacks share: their settings from CDK context, and the endpoint made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_multi_model_endpoint import (
    DeploymentPolicy,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
)

from . import _compliance as compliance

MODELS = Path(__file__).parent / "models"


class MultiModelStack(cdk.Stack):
    """A store with sample models, and an endpoint that serves them.

    Context keys, given as ``cdk deploy -c instance_type=ml.m5.2xlarge`` or, for one of the two stacks alone,
    ``-c cpu.instance_type=…`` and ``-c gpu.instance_type=…``:

    - ``image``: the URI of another image in Amazon ECR
    - ``inference_ami_version``: the host image of GPU instances, whose driver must fit the container's CUDA
    - ``instance_type``, ``instance_count``; ``max_instance_count``: how far to scale, 4 unless given
    - ``max_requests_per_second``: what one instance takes, for scaling; find it by a load test
    - ``deployment_wait``: how many seconds an update watches its canary, 300 unless given
    - ``bucket``: the name of an existing bucket; ``prefix``: the folder of the models in it
    - ``model_cache``: ``false`` unloads a model after every call
    - ``network_isolation``: ``false`` lets the container reach the network, for images that need it
    - ``alarm_topic``: the ARN of an Amazon SNS topic that is told of alarms
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        context: str,
        image: InferenceImage,
        instance_type: str,
        models: Path,
        inference_ami_version: str | None = None,
        **stack: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack)
        self._context = context

        instance_count = int(self._setting("instance_count", 2))
        bucket_name = self._setting("bucket")
        store = ModelStore(
            self,
            "Models",
            bucket=None if bucket_name is None else s3.Bucket.from_bucket_name(self, "Bucket", bucket_name),
            prefix=self._setting("prefix", "models/"),
        )
        stored = [store.add_model(path.name, path) for path in sorted(models.iterdir())]
        image_uri = self._setting("image")
        endpoint = MultiModelEndpoint(
            self,
            "Endpoint",
            container=MultiModelContainer(
                image=image if image_uri is None else InferenceImage.from_uri(image_uri),
                model_store=store,
                model_cache=self._switch("model_cache"),
            ),
            instance_type=self._setting("instance_type", instance_type),
            initial_instance_count=instance_count,
            inference_ami_version=self._setting("inference_ami_version", inference_ami_version),
            network_isolation=self._switch("network_isolation"),
            deployment=self._deployment(instance_count),
            log_retention=logs.RetentionDays.ONE_MONTH,
            log_removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        endpoint.default_variant.auto_scale_instance_count(
            max_capacity=int(self._setting("max_instance_count", max(4, instance_count)))
        ).scale_on_invocations("Load", max_requests_per_second=float(self._setting("max_requests_per_second", 50)))
        topic = self._setting("alarm_topic")
        monitoring = endpoint.monitor(
            "Monitoring", alarm_topic=None if topic is None else sns.Topic.from_topic_arn(self, "AlarmTopic", topic)
        )
        endpoint.add_rollback_alarms(*monitoring.error_alarms)

        cdk.Annotations.of(endpoint).acknowledge_warning(
            "cdk-multi-model-endpoint:deploymentPolicyUndocumented",
            "AWS's page on deployment guardrails lists what they exclude, and multi-model endpoints are not in it",
        )

        compliance.acknowledge_store(store)
        compliance.acknowledge_uploads(store, stored)
        compliance.acknowledge_endpoint(endpoint, store)
        if topic is None:
            compliance.acknowledge_silent_alarms(monitoring)

        cdk.CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(self, "ModelStoreUrl", value=store.url)
        cdk.CfnOutput(self, "TargetModels", value=",".join(model.target_model for model in stored))

    def _deployment(self, instance_count: int) -> DeploymentPolicy:
        if instance_count < 2:
            return DeploymentPolicy.all_at_once()
        return DeploymentPolicy.canary(
            percent=50, wait=cdk.Duration.seconds(int(self._setting("deployment_wait", 300)))
        )

    def _switch(self, key: str) -> bool:
        """A setting that is on unless it is given as false."""
        return str(self._setting(key, "true")).lower() != "false"

    def _setting(self, key: str, default: Any = None) -> Any:
        for name in (f"{self._context}.{key}", key):
            if (value := self.node.try_get_context(name)) is not None:
                return value
        return default
