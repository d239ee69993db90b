"""What both stacks share: their settings from CDK context, and the endpoint made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

MODELS = Path(__file__).parent / "models"


class MultiModelStack(cdk.Stack):
    """A store with sample models, and an endpoint that serves them.

    Context keys, given as ``cdk deploy -c instance_type=ml.m5.2xlarge`` or, for one of the two stacks alone,
    ``-c cpu.instance_type=…`` and ``-c gpu.instance_type=…``:

    - ``image``: the URI of another image in Amazon ECR
    - ``instance_type``, ``instance_count``
    - ``bucket``: the name of an existing bucket; ``prefix``: the folder of the models in it
    - ``model_cache``: ``false`` unloads a model after every call
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        context: str,
        image: InferenceImage,
        instance_type: str,
        models: Path,
        **stack: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack)
        self._context = context

        bucket_name = self._setting("bucket")
        store = ModelStore(
            self,
            "Models",
            bucket=None if bucket_name is None else s3.Bucket.from_bucket_name(self, "Bucket", bucket_name),
            prefix=self._setting("prefix", "models/"),
        )
        stored = [store.add_model(path.name, path) for path in sorted(models.iterdir())]
        image_uri = self._setting("image")
        endpoint = MultiModelEndpoint(
            self,
            "Endpoint",
            container=MultiModelContainer(
                image=image if image_uri is None else InferenceImage.from_uri(image_uri),
                model_store=store,
                model_cache=str(self._setting("model_cache", "true")).lower() != "false",
            ),
            instance_type=self._setting("instance_type", instance_type),
            initial_instance_count=int(self._setting("instance_count", 2)),
        )

        cdk.CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(self, "ModelStoreUrl", value=store.url)
        cdk.CfnOutput(self, "TargetModels", value=",".join(model.target_model for model in stored))

    def _setting(self, key: str, default: Any = None) -> Any:
        for name in (f"{self._context}.{key}", key):
            if (value := self.node.try_get_context(name)) is not None:
                return value
        return default
