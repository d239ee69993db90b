"""An endpoint on a container of your own, which ``cdk deploy`` builds from its Dockerfile."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ecr_assets as ecr_assets

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

HERE = Path(__file__).parent

app = cdk.App()
stack = cdk.Stack(app, "OwnContainer")

base = app.node.try_get_context("base")
image = InferenceImage.from_asset(
    HERE / "container",
    platform=ecr_assets.Platform.LINUX_AMD64,
    build_args={} if base is None else {"BASE": base},
)

store = ModelStore(stack, "Models")
models = store.add_models(HERE / "models")
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(image=image, model_store=store),
    instance_type="ml.m5.xlarge",
)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "TargetModels", value=",".join(model.target_model for model in models.values()))

app.synth()
