"""The part of the SageMaker API that makes endpoints: models, endpoint configurations, endpoints and their tags."""

from mme_local.sagemaker.errors import SageMakerError, ValidationError
from mme_local.sagemaker.service import SageMaker

__all__ = ["SageMaker", "SageMakerError", "ValidationError"]
