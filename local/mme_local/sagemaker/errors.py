"""Errors with the types and status codes that SageMaker answers."""

from __future__ import annotations

from mme_local.aws.errors import SerializationError, ServiceError, UnknownOperation, ValidationError

__all__ = ["ResourceLimitExceeded", "SageMakerError", "SerializationError", "UnknownOperation", "ValidationError"]

SageMakerError = ServiceError


class ResourceLimitExceeded(ServiceError):
    """More of something than the service allows."""

    code = "ResourceLimitExceeded"
    status = 400
