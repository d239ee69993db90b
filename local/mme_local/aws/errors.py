"""Errors that the AWS services of this process answer with: each has the type and the status code of AWS's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class ServiceError(Exception):
    """An error that an API answers; the text is the caller's message."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500


class ValidationError(ServiceError):
    """What is wrong with a request: a constraint of a member, or a rule of the service."""

    code = "ValidationException"
    status = 400

    @classmethod
    def of_constraints(cls, problems: Sequence[str]) -> ValidationError:
        """All constraints that a request violates, in AWS's wording."""
        noun = "error" if len(problems) == 1 else "errors"
        return cls(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")


class SerializationError(ServiceError):
    """A value of the wrong JSON type."""

    code = "SerializationException"
    status = 400


class UnknownOperation(ServiceError):
    """An operation that this service does not have."""

    code = "UnknownOperationException"
    status = 400
