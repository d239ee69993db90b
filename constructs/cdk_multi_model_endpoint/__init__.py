"""AWS CDK constructs for Amazon SageMaker multi-model endpoints."""

from ._capture import CoreDump, DataCapture
from ._container import MultiModelContainer, PipelineContainer
from ._deployment import DeploymentPolicy
from ._endpoint import MultiModelEndpoint
from ._errors import InvalidEndpointError
from ._image import InferenceImage
from ._image_sources import AssetOptions, BoundImage
from ._invoke import ImportedEndpoint
from ._metrics import InvocationHttpResponseCode, MetricOptions, VariantMetrics
from ._monitoring import AlarmThresholds, EndpointMonitoring
from ._scaling import ScalableInstanceCount, TrackingOptions
from ._store import ModelStore
from ._stored_model import StoredModel
from ._triton import TritonSettings
from ._variant import ProductionVariant, RoutingStrategy

__all__ = [
    "AlarmThresholds",
    "AssetOptions",
    "BoundImage",
    "CoreDump",
    "DataCapture",
    "DeploymentPolicy",
    "EndpointMonitoring",
    "ImportedEndpoint",
    "InferenceImage",
    "InvalidEndpointError",
    "InvocationHttpResponseCode",
    "MetricOptions",
    "ModelStore",
    "MultiModelContainer",
    "MultiModelEndpoint",
    "PipelineContainer",
    "ProductionVariant",
    "RoutingStrategy",
    "ScalableInstanceCount",
    "StoredModel",
    "TrackingOptions",
    "TritonSettings",
    "VariantMetrics",
]
