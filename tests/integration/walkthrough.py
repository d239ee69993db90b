"""AWS's own walkthrough: the endpoints that its guide makes with boto3, and the same made with our construct.

https://docs.aws.amazon.com/sagemaker/latest/dg/create-multi-model-endpoint.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3

from cdk_multi_model_endpoint import (
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
)

REGION = "us-west-2"
BUCKET = "walkthrough"
STACK = "Walkthrough"

KNN = "174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1"
SKLEARN = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
TRITON = "763104351884.dkr.ecr.us-west-2.amazonaws.com/sagemaker-tritonserver:24.09-py3"
MODELS = f"s3://{BUCKET}/models/"
PREPROCESSOR = f"s3://{BUCKET}/preprocessor/model.tar.gz"
PROGRAM = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
MULTI_MODEL = {"Image": KNN, "ModelDataUrl": MODELS, "Mode": "MultiModel"}


@dataclass(frozen=True)
class Walk:
    """One endpoint: the guide's containers and instances, and our arguments."""

    containers: list[dict[str, Any]]
    image: InferenceImage
    instance_type: str = "ml.m4.xlarge"
    container: dict[str, Any] = field(default_factory=dict)
    preprocessors: list[PipelineContainer] = field(default_factory=list)

    @property
    def variant(self) -> dict[str, Any]:
        """The guide's production variant, its model's name apart."""
        return {
            "InstanceType": self.instance_type,
            "InitialInstanceCount": 2,
            "InitialVariantWeight": 1,
            "VariantName": "AllTraffic",
        }


WALKS = {
    "Knn": Walk([MULTI_MODEL], InferenceImage.built_in("knn")),
    "Pipeline": Walk(
        [
            {"Image": SKLEARN, "ModelDataUrl": PREPROCESSOR, "Environment": PROGRAM},
            MULTI_MODEL,
        ],
        InferenceImage.built_in("knn"),
        preprocessors=[
            PipelineContainer(
                image=InferenceImage.built_in("sklearn", "1.2-1"),
                model_data_url=PREPROCESSOR,
                environment=PROGRAM,
            )
        ],
    ),
    "Uncached": Walk(
        [{**MULTI_MODEL, "MultiModelConfig": {"ModelCacheSetting": "Disabled"}}],
        InferenceImage.built_in("knn"),
        container={"model_cache": False},
    ),
    "Triton": Walk(
        [
            {
                "Image": TRITON,
                "ModelDataUrl": MODELS,
                "Mode": "MultiModel",
                "Environment": {"SAGEMAKER_TRITON_DEFAULT_MODEL_NAME": "resnet"},
            }
        ],
        InferenceImage.triton("24.09-py3"),
        instance_type="ml.g4dn.4xlarge",
        container={"environment": {"SAGEMAKER_TRITON_DEFAULT_MODEL_NAME": "resnet"}},
    ),
}


def make_stack(app: cdk.App) -> cdk.Stack:
    """All walks in one stack."""
    stack = cdk.Stack(app, STACK, env=cdk.Environment(account="000000000000", region=REGION))
    store = ModelStore(stack, "Models", bucket=s3.Bucket.from_bucket_name(stack, "Bucket", BUCKET))
    for name, walk in WALKS.items():
        endpoint = MultiModelEndpoint(
            stack,
            name,
            container=MultiModelContainer(image=walk.image, model_store=store, **walk.container),
            preprocessors=walk.preprocessors,
            instance_type=walk.instance_type,
        )
        cdk.CfnOutput(stack, f"{name}EndpointName", value=endpoint.endpoint_name)
    return stack


if __name__ == "__main__":
    cdk_app = cdk.App()
    make_stack(cdk_app)
    cdk_app.synth()
