"""Scalable targets: registered, described, deregistered and tagged."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from mme_local.autoscaling.account import Account
from mme_local.autoscaling.errors import ObjectNotFound, ResourceNotFound, TooManyTags
from mme_local.autoscaling.listing import answer
from mme_local.autoscaling.records import (
    DIMENSION,
    NAMESPACE,
    ScalableTarget,
    address,
    check_addressed,
    split_resource_id,
)
from mme_local.aws.errors import ValidationError
from mme_local.sagemaker import SageMaker

_MOST_TAGS = 50
_ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


def register(account: Account, request: Mapping[str, Any], sagemaker: SageMaker, now: float) -> ScalableTarget:
    """RegisterScalableTarget: of a new target or with new bounds of one that there is."""
    check_addressed(request)
    resource_id = request["ResourceId"]
    target = account.targets.get(resource_id)
    _check_variant(account, resource_id, sagemaker, new=target is None)
    minimum = request.get("MinCapacity", None if target is None else target.minimum)
    maximum = request.get("MaxCapacity", None if target is None else target.maximum)
    if minimum is None or maximum is None:
        raise ValidationError("MinCapacity and MaxCapacity are required to register a new scalable target.")
    check_bounds(minimum, maximum)
    if target is None:
        tags = request.get("Tags", {})
        _check_tags(tags)
        target = ScalableTarget(
            resource_id,
            account.scope.arn("application-autoscaling", f"scalable-target/{uuid.uuid4().hex}"),
            minimum,
            maximum,
            now,
            request.get("RoleARN", f"arn:aws:iam::{account.scope.account}:role/{_ROLE}"),
            tags=dict(tags),
        )
        account.targets[resource_id] = target
    elif "Tags" in request:
        raise ValidationError("Tags of a registered scalable target are changed by TagResource and UntagResource.")
    target.minimum, target.maximum = minimum, maximum
    target.role_arn = request.get("RoleARN", target.role_arn)
    target.suspended.update(request.get("SuspendedState", {}))
    return target


def check_bounds(minimum: int, maximum: int) -> None:
    """Refuse bounds that make no sense."""
    if minimum < 0 or maximum < 0:
        raise ValidationError("Minimum capacity and maximum capacity must not be negative.")
    if minimum > maximum:
        raise ValidationError("Maximum capacity cannot be less than minimum capacity")


def _check_variant(account: Account, resource_id: str, sagemaker: SageMaker, *, new: bool) -> None:
    endpoint_name, variant_name = split_resource_id(resource_id)
    endpoint = sagemaker.region(account.scope).endpoints.find(endpoint_name)
    if endpoint is None or endpoint.name != endpoint_name:
        raise ValidationError(f"Could not find endpoint {endpoint_name} of resource ID {resource_id}.")
    # bounds can change during an update of the endpoint, whose variants go on
    if new and endpoint.status != "InService":
        raise ValidationError(
            f"Endpoint {endpoint_name} of resource ID {resource_id} must be InService, it is {endpoint.status}."
        )
    if variant_name not in [variant.name for variant in endpoint.variants]:
        raise ValidationError(f"Could not find variant {variant_name} of resource ID {resource_id}.")


def describe(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """DescribeScalableTargets."""
    check_addressed(request)
    wanted = request.get("ResourceIds")
    chosen = [target for target in account.targets.values() if not wanted or target.resource_id in wanted]
    return answer("ScalableTargets", [_described(target) for target in chosen], request)


def _described(target: ScalableTarget) -> dict[str, Any]:
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": target.resource_id,
        "ScalableDimension": DIMENSION,
        "MinCapacity": target.minimum,
        "MaxCapacity": target.maximum,
        "RoleARN": target.role_arn,
        "CreationTime": target.created,
        "SuspendedState": {
            f"{kind}Suspended": target.is_suspended(kind)
            for kind in ("DynamicScalingIn", "DynamicScalingOut", "ScheduledScaling")
        },
        "ScalableTargetARN": target.arn,
    }


def deregister(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """DeregisterScalableTarget, with its policies and scheduled actions."""
    account.forget(account.get(request))
    return {}


def tag(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """TagResource."""
    target = _tagged(account, request)
    merged = {**target.tags, **request["Tags"]}
    _check_tags(merged)
    target.tags = merged
    return {}


def untag(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """UntagResource."""
    target = _tagged(account, request)
    target.tags = {key: value for key, value in target.tags.items() if key not in request["TagKeys"]}
    return {}


def list_tags(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"Tags": dict(_tagged(account, request).tags)}


def _tagged(account: Account, request: Mapping[str, Any]) -> ScalableTarget:
    arn = request["ResourceARN"]
    for target in account.targets.values():
        if target.arn == arn:
            return target
    raise ResourceNotFound(f"No scalable target found for ARN: {arn}")


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise TooManyTags(f"A scalable target can have at most {_MOST_TAGS} tags, got {len(tags)}.")


def not_found(kind: str, resource_id: str, member: str, name: str) -> ObjectNotFound:
    """The error for a policy or a scheduled action that is not there."""
    return ObjectNotFound(f"No {kind} found for {address(resource_id)}, {member}: {name}")
