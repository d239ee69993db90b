"""Errors with the types that Application Auto Scaling answers."""

from __future__ import annotations

from mme_local.aws.errors import ServiceError


class ObjectNotFound(ServiceError):
    """No such scalable target, policy or scheduled action."""

    code = "ObjectNotFoundException"
    status = 400


class ResourceNotFound(ServiceError):
    """No scalable target of this ARN; only the operations about tags answer it."""

    code = "ResourceNotFoundException"
    status = 400


class TooManyTags(ServiceError):
    """More tags than a scalable target can have."""

    code = "TooManyTagsException"
    status = 400


class LimitExceeded(ServiceError):
    """More of something than the service allows."""

    code = "LimitExceededException"
    status = 400


class InvalidNextToken(ServiceError):
    """A page token that no list gave out."""

    code = "InvalidNextTokenException"
    status = 400
