"""AWS CDK constructs for Amazon SageMaker multi-model endpoints."""

from ._endpoint.containers import MultiModelContainer, PipelineContainer
from ._endpoint.deployment import DeploymentPolicy
from ._endpoint.endpoint import MultiModelEndpoint
from ._endpoint.imported import ImportedEndpoint
from ._endpoint.warming import EndpointWarmUp, WarmUpCall
from ._images.image import InferenceImage
from ._images.sources import AssetOptions, BoundImage
from ._images.triton import TritonSettings
from ._models.approvals import ModelApprovals
from ._models.store import ModelStore
from ._models.stored_model import ModelUploads, StoredModel
from ._rules.errors import InvalidEndpointError
from ._variants.capture import CoreDump, DataCapture
from ._variants.metrics import InvocationHttpResponseCode, MetricOptions, VariantMetrics
from ._variants.monitoring import AlarmThresholds, EndpointMonitoring
from ._variants.scaling import ScalableInstanceCount, TrackingOptions
from ._variants.variant import ProductionVariant, RoutingStrategy, VariantOptions

__all__ = [
    "AlarmThresholds",
    "AssetOptions",
    "BoundImage",
    "CoreDump",
    "DataCapture",
    "DeploymentPolicy",
    "EndpointMonitoring",
    "EndpointWarmUp",
    "ImportedEndpoint",
    "InferenceImage",
    "InvalidEndpointError",
    "InvocationHttpResponseCode",
    "MetricOptions",
    "ModelApprovals",
    "ModelStore",
    "ModelUploads",
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
    "VariantOptions",
    "WarmUpCall",
]

for _name in __all__:
    # tracebacks and reprs say where users import it from
    globals()[_name].__module__ = __name__
