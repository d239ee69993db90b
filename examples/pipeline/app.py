"""Two containers in a row: the first makes columns of what is known of a customer, the second has the models."""

from pathlib import Path

import aws_cdk as cdk

from cdk_multi_model_endpoint import (
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
)

HERE = Path(__file__).parent

app = cdk.App()
stack = cdk.Stack(app, "Pipeline")

store = ModelStore(stack, "Models")
churn = store.add_model("churn", HERE / "models" / "churn")
# In another folder of the bucket: nobody calls it by itself
others = ModelStore(stack, "Preprocessors", bucket=store.bucket, prefix="preprocessors/")
columns = others.add_model("columns", HERE / "preprocessor")

endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    preprocessors=[
        PipelineContainer(
            image=InferenceImage.built_in("sklearn", "1.9-0"),
            model_data_url=f"{others.url}{columns.target_model}",
            environment={
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            },
        )
    ],
    container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
    instance_type="ml.m5.xlarge",
)
endpoint.model.node.add_dependency(columns)  # SageMaker looks whether the artifact is there

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "ChurnModel", value=churn.target_model)

app.synth()
