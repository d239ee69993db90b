"""An app with an autoscaled endpoint in plain L1 constructs, as its test deploys and changes it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_sagemaker as sagemaker

STACK = "Autoscaled"
ENDPOINT = "autoscaled"
RESOURCE = f"endpoint/{ENDPOINT}/variant/AllTraffic"
TARGET_VALUE = 60
IMAGE = "438346466558.dkr.ecr.eu-west-1.amazonaws.com/{}:1"


class Autoscaled(cdk.Stack):
    """Context decides upon what an update changes."""

    def __init__(self, app: cdk.App) -> None:
        super().__init__(app, STACK)
        model = sagemaker.CfnModel(
            self,
            "Model",
            containers=[
                sagemaker.CfnModel.ContainerDefinitionProperty(
                    image=IMAGE.format(self._context("image", "knn")), mode="MultiModel", model_data_url="s3://all/m/"
                )
            ],
        )
        config = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name="AllTraffic",
                    model_name=model.attr_model_name,
                    instance_type=self._context("instance_type", "ml.m5.large"),
                    initial_instance_count=1,
                    initial_variant_weight=1,
                )
            ],
        )
        endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=ENDPOINT,
            endpoint_config_name=config.attr_endpoint_config_name,
            retain_all_variant_properties=True,
        )
        if self._context("scaled", "yes") == "yes":
            self._scale(endpoint)

    def _scale(self, endpoint: sagemaker.CfnEndpoint) -> None:
        target = scaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=RESOURCE,
            min_capacity=1,
            max_capacity=int(self._context("max", "4")),
            scheduled_actions=[
                scaling.CfnScalableTarget.ScheduledActionProperty(
                    scheduled_action_name="Morning",
                    schedule="cron(0 8 ? * MON-FRI *)",
                    timezone="Europe/Berlin",
                    scalable_target_action=scaling.CfnScalableTarget.ScalableTargetActionProperty(min_capacity=2),
                )
            ],
        )
        target.add_dependency(endpoint)
        scaling.CfnScalingPolicy(
            self,
            "Policy",
            policy_name="Load",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=scaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=TARGET_VALUE,
                predefined_metric_specification=scaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                ),
            ),
        )
        cdk.CfnOutput(self, "TargetId", value=target.ref)

    def _context(self, key: str, default: str) -> str:
        return str(self.node.try_get_context(key) or default)


if __name__ == "__main__":
    app = cdk.App()
    Autoscaled(app)
    app.synth()
