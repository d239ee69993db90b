"""The endpoint."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint


class ScoringStack(cdk.Stack):
    """An endpoint that serves the models of a folder, each promoted as it is deployed.

    Args:
        models: The folder.
    """

    def __init__(self, scope: Construct, construct_id: str, *, models: Path) -> None:
        super().__init__(scope, construct_id)
        store = ModelStore(self, "Models")
        for model in sorted(models.iterdir()):
            store.add_model(model.name, model, aliases=[f"{model.name}@prod"])
        endpoint = MultiModelEndpoint(
            self,
            "Endpoint",
            container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
            instance_type="ml.m5.xlarge",
        )
        cdk.CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(self, "ModelStoreUrl", value=store.url)
