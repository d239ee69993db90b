"""The CloudFormation types: templates' properties turned into the same calls that the API answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.model import Shape

from mme_local.autoscaling.errors import ObjectNotFound
from mme_local.autoscaling.records import ScalableTarget
from mme_local.autoscaling.service import SERVICE, AutoScaling
from mme_local.aws.errors import ServiceError
from mme_local.aws.provisioning import OnLoop, Properties, PropertyError, Provisioned, coerced_properties
from mme_local.aws.scope import Scope
from mme_local.aws.shapes import input_shape
from mme_local.aws.tags import tag_map

_ADDRESS = ("ResourceId", "ScalableDimension", "ServiceNamespace")
_FLAGS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


@dataclass(frozen=True)
class ResourceType:
    """A CloudFormation type and the operation behind it."""

    noun: str
    operation: str
    create_only: tuple[str, ...]
    own: tuple[str, ...] = ()
    """Properties that the operation does not have."""
    taggable: bool = False
    name_property: str | None = None
    """A replacement may keep the name: it is not all of the identity."""

    @property
    def name(self) -> str:
        """What templates call it."""
        return f"AWS::ApplicationAutoScaling::{self.noun}"

    @cached_property
    def members(self) -> Mapping[str, Shape]:
        """The properties that it shares with the operation, with their types."""
        return {k: v for k, v in input_shape(SERVICE, self.operation).members.items() if k not in self.own}

    def request(self, properties: Properties) -> dict[str, Any]:
        """The properties with the types of the API, which templates may write as strings."""
        shared = {name: value for name, value in properties.items() if name not in self.own}
        kept = {name: value for name, value in properties.items() if name in self.own}
        return {**coerced_properties(self.members, shared), **kept}


TARGET = ResourceType(
    "ScalableTarget", "RegisterScalableTarget", _ADDRESS, own=("ScheduledActions", "Tags"), taggable=True
)
POLICY = ResourceType(
    "ScalingPolicy", "PutScalingPolicy", ("PolicyName", "ScalingTargetId", *_ADDRESS), own=("ScalingTargetId",)
)
TYPES = (TARGET, POLICY)


class Provisioner(OnLoop):
    """Creates, updates and deletes the resources of stacks.

    Args:
        service: The service whose API it calls.
        scope: The account and region of the calling thread's stack.
    """

    def __init__(self, service: AutoScaling, scope: Callable[[], Scope]) -> None:
        super().__init__()
        self._service = service
        self._scope = scope

    def create(self, kind: ResourceType, logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
        """Create a resource."""
        create = self._create_target if kind is TARGET else self._create_policy
        return self._on_loop(create(self._scope(), kind.request(properties)))

    def update(self, kind: ResourceType, physical_id: str, old: Properties, new: Properties) -> Provisioned:
        """Change a resource in place."""
        before, after = kind.request(old), kind.request(new)
        if kind is TARGET:
            return self._on_loop(self._update_target(self._scope(), physical_id, before, after))
        return self._on_loop(self._put_policy(self._scope(), after))

    def delete(self, kind: ResourceType, physical_id: str) -> None:
        """Delete a resource; one that is gone already is no error."""
        self._on_loop(
            self._delete_target(self._scope(), physical_id)
            if kind is TARGET
            else self._delete_policy(self._scope(), physical_id)
        )

    async def _create_target(self, scope: Scope, request: Mapping[str, Any]) -> Provisioned:
        physical_id = "|".join(request.get(name, "") for name in _ADDRESS)
        if request.get("ResourceId") in self._service.account(scope).targets:
            raise RuntimeError(f"{physical_id} already exists")
        tags = _own_tags(request)
        self._service.call(scope, "RegisterScalableTarget", {**_without(request, TARGET.own), "Tags": tags})
        try:
            self._put_actions(scope, {}, request)
        except (ServiceError, PropertyError):
            # the engine does not know the physical id of what failed, so nobody else would delete it
            await self._delete_target(scope, physical_id)
            raise
        return physical_id, {"Id": physical_id}

    async def _update_target(
        self, scope: Scope, physical_id: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Provisioned:
        target = self._service.account(scope).targets.get(after["ResourceId"])
        if target is None:
            raise RuntimeError(f"{TARGET.name} {physical_id} was deleted outside of CloudFormation")
        # what the template no longer suspends goes on
        resumed = dict.fromkeys(_FLAGS, False) if "SuspendedState" in before else {}
        suspended = {**resumed, **after.get("SuspendedState", {})}
        request = {**_without(after, TARGET.own), "SuspendedState": suspended}
        self._service.call(scope, "RegisterScalableTarget", request)
        self._put_actions(scope, before, after)
        _retag(target, _own_tags(before), _own_tags(after))
        return physical_id, {"Id": physical_id}

    def _put_actions(self, scope: Scope, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        address = {name: after[name] for name in _ADDRESS}
        members = input_shape(SERVICE, "PutScheduledAction").members
        shared = {name: shape for name, shape in members.items() if name not in _ADDRESS}
        old, new = (
            {action["ScheduledActionName"]: action for action in properties.get("ScheduledActions", [])}
            for properties in (before, after)
        )
        for name, action in new.items():
            # an action that goes on keeps its rhythm
            if action != old.get(name):
                self._service.call(scope, "PutScheduledAction", {**address, **coerced_properties(shared, action)})
        present = self._service.account(scope).targets[after["ResourceId"]].actions
        for name in old.keys() - new.keys():
            if name in present:
                self._service.call(scope, "DeleteScheduledAction", {**address, "ScheduledActionName": name})

    async def _delete_target(self, scope: Scope, physical_id: str) -> None:
        with contextlib.suppress(ObjectNotFound):
            self._service.call(scope, "DeregisterScalableTarget", _addressed(physical_id))

    async def _create_policy(self, scope: Scope, request: Mapping[str, Any]) -> Provisioned:
        target = self._service.account(scope).targets.get(_policy_request(request)["ResourceId"])
        if target is not None and request.get("PolicyName") in target.policies:
            raise RuntimeError("Scaling Policy Already Exists")
        return await self._put_policy(scope, request)

    async def _put_policy(self, scope: Scope, request: Mapping[str, Any]) -> Provisioned:
        arn: str = self._service.call(scope, "PutScalingPolicy", _policy_request(request))["PolicyARN"]
        return arn, {"Arn": arn}

    async def _delete_policy(self, scope: Scope, physical_id: str) -> None:
        account = self._service.account(scope)
        for target in account.targets.values():
            for policy in list(target.policies.values()):
                if policy.arn == physical_id:
                    account.drop(target, policy)


def _policy_request(request: Mapping[str, Any]) -> dict[str, Any]:
    target_id = request.get("ScalingTargetId")
    if (target_id is None) == ("ResourceId" not in request):
        raise PropertyError(
            "Either ScalingTargetId or all three of [ResourceId, ScalableDimension, ServiceNamespace] must be specified"
        )
    address = {} if target_id is None else _addressed(target_id)
    return {**_without(request, POLICY.own), **address}


def _addressed(target_id: str) -> dict[str, str]:
    parts = target_id.split("|")
    if len(parts) != len(_ADDRESS):
        raise PropertyError(f"{target_id} is not the id of a scalable target")
    return dict(zip(_ADDRESS, parts, strict=True))


def _without(request: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in names}


def _own_tags(request: Mapping[str, Any]) -> dict[str, str]:
    # the type has no tags of CloudFormation's own
    return {k: v for k, v in tag_map(request.get("Tags", [])).items() if not k.startswith("aws:")}


def _retag(target: ScalableTarget, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    kept = {key: value for key, value in target.tags.items() if key not in old}
    target.tags = {**kept, **new}
