"""An app with models of Hugging Face, as its test deploys it; the models are the sub-folders of a directory."""

from __future__ import annotations

import aws_cdk as cdk

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

STACK = "HuggingFace"

if __name__ == "__main__":
    app = cdk.App()
    stack = cdk.Stack(app, STACK, env=cdk.Environment(region="us-east-1"))
    store = ModelStore(stack, "Models")
    targets = store.add_models(app.node.get_context("models"))
    endpoint = MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(
            image=InferenceImage.from_dlc("huggingface-pytorch-inference", app.node.get_context("tag")),
            model_store=store,
            environment={"HF_HUB_OFFLINE": "1"},
        ),
        instance_type="ml.m5.xlarge",
        initial_instance_count=1,
    )
    cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
    for name, model in targets.items():
        cdk.CfnOutput(stack, name, value=model.target_model)
    app.synth()
