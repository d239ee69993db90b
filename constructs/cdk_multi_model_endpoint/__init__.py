"""AWS CDK constructs for Amazon SageMaker multi-model endpoints."""

from ._container import MultiModelContainer, PipelineContainer
from ._endpoint import MultiModelEndpoint
from ._errors import InvalidEndpointError
from ._image import BoundImage, InferenceImage
from ._store import ModelStore, StoredModel

__all__ = [
    "BoundImage",
    "InferenceImage",
    "InvalidEndpointError",
    "ModelStore",
    "MultiModelContainer",
    "MultiModelEndpoint",
    "PipelineContainer",
    "StoredModel",
]
