"""What the service remembers of a variant, and how requests name one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mme_local.autoscaling.schedules import Schedule
from mme_local.aws.errors import ValidationError

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"

_RESOURCE_ID = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")


@dataclass
class Policy:
    """A scaling policy: the checked request that made it."""

    name: str
    arn: str
    kind: str
    configuration: dict[str, Any]
    created: float


@dataclass
class ScheduledAction:
    """A scheduled change of a target's bounds."""

    name: str
    arn: str
    schedule: Schedule
    request: dict[str, Any]
    created: float
    next_run: float | None


@dataclass
class Activity:
    """One change of a desired count, or the attempt at it."""

    resource_id: str
    description: str
    cause: str
    start: float
    status: str = "Pending"
    message: str | None = None
    end: float | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class ScalableTarget:
    """A variant whose instance count is scaled, with everything that scales it."""

    resource_id: str
    arn: str
    minimum: int
    maximum: int
    created: float
    role_arn: str
    suspended: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    actions: dict[str, ScheduledAction] = field(default_factory=dict)
    scaled_out: float | None = None
    """When the last scale-out was over."""
    count_before: int = 0
    """The instance count that the last scale-out began with."""
    scaled_in: float | None = None
    """When the last scale-in was over."""

    @property
    def endpoint_name(self) -> str:
        """The endpoint of the resource id."""
        return split_resource_id(self.resource_id)[0]

    @property
    def variant_name(self) -> str:
        """The variant of the resource id."""
        return split_resource_id(self.resource_id)[1]

    def is_suspended(self, kind: str) -> bool:
        """Whether scaling of a kind, ``DynamicScalingIn`` for one, is suspended."""
        return self.suspended.get(f"{kind}Suspended", False)


def address(resource_id: str) -> str:
    """How the service's messages name a target."""
    return f"service namespace: {NAMESPACE}, resource ID: {resource_id}, scalable dimension: {DIMENSION}"


def split_resource_id(resource_id: str) -> tuple[str, str]:
    """The names of the endpoint and the variant."""
    match = _RESOURCE_ID.fullmatch(resource_id)
    if match is None:
        raise ValidationError(
            f"Unsupported resource ID for {NAMESPACE}: {resource_id};"
            f" {DIMENSION} is scaled by endpoint/<endpoint name>/variant/<variant name>."
        )
    return match[1], match[2]


def check_addressed(request: Mapping[str, Any]) -> None:
    """Refuse what is not the instance count of a variant."""
    if request["ServiceNamespace"] != NAMESPACE:
        raise ValidationError(
            f"mme-local scales the service namespace {NAMESPACE} only, got {request['ServiceNamespace']}."
        )
    dimension = request.get("ScalableDimension", DIMENSION)
    if dimension != DIMENSION:
        raise ValidationError(f"mme-local scales the dimension {DIMENSION} only, got {dimension}.")
    if "ResourceId" in request:
        split_resource_id(request["ResourceId"])
