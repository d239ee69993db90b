"""Errors with the types and status codes that SageMaker answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class SageMakerError(Exception):
    """An error that the API answers; the text is the caller's message."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500


class ValidationError(SageMakerError):
    """SageMaker's answer to nearly everything that is wrong with a request, unknown names included."""

    code = "ValidationException"
    status = 400

    @classmethod
    def of_constraints(cls, problems: Sequence[str]) -> ValidationError:
        """All constraints that a request violates, in AWS's wording."""
        noun = "error" if len(problems) == 1 else "errors"
        return cls(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")


class SerializationError(SageMakerError):
    """A value of the wrong JSON type."""

    code = "SerializationException"
    status = 400


class UnknownOperation(SageMakerError):
    """An operation that this service does not have."""

    code = "UnknownOperationException"
    status = 400


class ResourceLimitExceeded(SageMakerError):
    """More of something than the service allows."""

    code = "ResourceLimitExceeded"
    status = 400
