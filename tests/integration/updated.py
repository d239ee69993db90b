"""The app whose stack test_updates.py deploys and changes, one setting at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs

from cdk_multi_model_endpoint import (
    DeploymentPolicy,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
)

STACK = "Updated"
ENDPOINT_NAME = "updated-endpoint-a95ff7c7"
"""What the endpoint is called as long as it is not given a name."""
LOGICAL_ID = "Endpoint8024A810"
"""The logical id of the Endpoint as long as its construct is called so."""
MODELS = Path(__file__).parents[2] / "stacks" / "models" / "xgboost"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that an update changes."""

    construct_id: str = "Endpoint"
    endpoint_name: str | None = None
    logical_id: str | None = None
    version: str = "1.7-1"
    environment: Mapping[str, str] = field(default_factory=dict)
    model_cache: bool = False
    preprocessor: str | None = None
    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    variant_name: str = "AllTraffic"
    weight: float = 1
    second_variant: bool = False
    prefix: str = "models/"
    models: tuple[str, ...] = ("house-price",)
    tags: Mapping[str, str] = field(default_factory=dict)
    max_capacity: int | None = None
    retained: bool | None = None
    deployment: bool = False
    rollback_alarm: bool = False
    monitored: bool = False
    log_retention: logs.RetentionDays | None = logs.RetentionDays.ONE_WEEK


class Updated(cdk.Stack):
    """An endpoint with its store, as the settings want it."""

    def __init__(self, app: cdk.App, settings: Settings) -> None:
        super().__init__(app, STACK)
        store = ModelStore(self, "Store", prefix=settings.prefix)
        targets = [store.add_model(name, MODELS / name).target_model for name in settings.models]
        endpoint = MultiModelEndpoint(
            self,
            settings.construct_id,
            container=MultiModelContainer(
                image=InferenceImage.built_in("xgboost", settings.version),
                model_store=store,
                model_cache=settings.model_cache,
                environment=settings.environment,
            ),
            preprocessors=_preprocessors(settings),
            instance_type=settings.instance_type,
            initial_instance_count=settings.instance_count,
            variant_name=settings.variant_name,
            initial_variant_weight=settings.weight,
            deployment=DeploymentPolicy.canary(percent=50, wait=cdk.Duration.seconds(1))
            if settings.deployment
            else None,
            retain_variant_properties=settings.retained,
            log_retention=settings.log_retention,
            endpoint_name=settings.endpoint_name,
        )
        if settings.logical_id is not None:
            endpoint.endpoint.override_logical_id(settings.logical_id)
        if settings.second_variant:
            endpoint.add_variant(
                "Challenger",
                instance_type=settings.instance_type,
                initial_instance_count=settings.instance_count,
                initial_variant_weight=1,
            )
        if settings.max_capacity is not None:
            scaling = endpoint.default_variant.auto_scale_instance_count(max_capacity=settings.max_capacity)
            # the live count is the test's to set: the callers here are few
            scaling.scale_on_invocations("Load", max_requests_per_second=100, disable_scale_in=True)
        if settings.rollback_alarm:
            endpoint.add_rollback_alarms(self._alarm(endpoint))
        if settings.monitored:
            endpoint.monitor("Monitoring")
        for key, value in settings.tags.items():
            cdk.Tags.of(endpoint).add(key, value)
        cdk.CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(self, "Bucket", value=store.bucket.bucket_name)
        cdk.CfnOutput(self, "TargetModels", value=",".join(targets))

    def _alarm(self, endpoint: MultiModelEndpoint) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            "ModelErrors",
            metric=endpoint.default_variant.metric_invocation_model_errors(period=cdk.Duration.minutes(1)),
            threshold=1000,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )


def _preprocessors(settings: Settings) -> list[PipelineContainer]:
    if settings.preprocessor is None:
        return []
    image = InferenceImage.built_in("sklearn", "1.2-1")
    environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    return [PipelineContainer(image=image, model_data_url=settings.preprocessor, environment=environment)]


def synthesize(settings: Settings, output: Path) -> Path:
    """Write the cloud assembly, as ``cdk synth`` does; return the stack's template."""
    app = cdk.App(
        outdir=str(output),
        analytics_reporting=False,
        context={"aws:cdk:enable-path-metadata": True, "aws:cdk:disable-asset-staging": False},
    )
    Updated(app, settings)
    app.synth()
    return output / f"{STACK}.template.json"
