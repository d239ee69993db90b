"""The part of the SageMaker API that makes endpoints: models, endpoint configurations, endpoints and their tags."""

from mme_local.sagemaker.errors import SageMakerError, ValidationError
from mme_local.sagemaker.service import SERVICE, TARGET_PREFIX, SageMaker

__all__ = ["SERVICE", "TARGET_PREFIX", "SageMaker", "SageMakerError", "ValidationError"]
