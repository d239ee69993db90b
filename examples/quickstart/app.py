"""One multi-model endpoint with one model."""

from pathlib import Path

import aws_cdk as cdk

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

MODELS = Path(__file__).parent / "models"

app = cdk.App()
stack = cdk.Stack(app, "Quickstart")

store = ModelStore(stack, "Models")
churn = store.add_model("churn", MODELS / "churn")
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
    instance_type="ml.m5.xlarge",
)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "ChurnModel", value=churn.target_model)

app.synth()
