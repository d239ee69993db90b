"""An app with an endpoint whose log group is SageMaker's own, or with the context ``log_retention`` the stack's."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

STACK = "Logged"
ENDPOINT = "logged"
GROUP = f"/aws/sagemaker/Endpoints/{ENDPOINT}"

if __name__ == "__main__":
    app = cdk.App()
    stack = cdk.Stack(app, STACK)
    MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(
            image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=ModelStore(stack, "Models")
        ),
        instance_type="ml.m5.xlarge",
        endpoint_name=ENDPOINT,
        log_retention=logs.RetentionDays.ONE_MONTH if app.node.try_get_context("log_retention") else None,
    )
    app.synth()
