"""An app with many models in one stack, as its test deploys it; the models are the sub-folders of a directory."""

from __future__ import annotations

import aws_cdk as cdk

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

STACK = "Many"

if __name__ == "__main__":
    app = cdk.App()
    stack = cdk.Stack(app, STACK)
    store = ModelStore(stack, "Models")
    store.add_models(app.node.get_context("models"))
    endpoint = MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
        instance_type="ml.m5.xlarge",
        initial_instance_count=1,
    )
    cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
    cdk.CfnOutput(stack, "ModelStoreUrl", value=store.url)
    app.synth()
