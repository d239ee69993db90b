"""Two models behind one name: Triton hands the answer of the first to the second."""

from pathlib import Path

import aws_cdk as cdk

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

MODELS = Path(__file__).parent / "models"

app = cdk.App()
stack = cdk.Stack(app, "TritonEnsemble")

store = ModelStore(stack, "Models")
review = store.add_model("review", MODELS / "review")
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(image=InferenceImage.triton("26.05", cpu=True), model_store=store),
    instance_type="ml.c5.xlarge",
)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "ReviewModel", value=review.target_model)

app.synth()
