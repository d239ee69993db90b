"""The CloudFormation types: templates' properties turned into the same calls that the API answers."""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.model import Shape

from mme_local.aws.provisioning import OnLoop, Properties, Provisioned, coerced_properties
from mme_local.aws.scope import Scope
from mme_local.aws.shapes import input_shape
from mme_local.aws.tags import tag_map
from mme_local.sagemaker.records import RECORD_TYPES, Endpoint, Model, Record, Region
from mme_local.sagemaker.service import SageMaker

_SUFFIX_LENGTH = 12
_NAME_LENGTH = 63


@dataclass(frozen=True)
class ResourceType:
    """A CloudFormation type and the operations behind it."""

    record_type: type[Record]
    taggable: bool = True

    @property
    def name(self) -> str:
        """What templates call it."""
        return f"AWS::SageMaker::{self.record_type.api}"

    @property
    def name_property(self) -> str:
        """The property with its physical name."""
        return self.record_type.name_member()

    @cached_property
    def members(self) -> dict[str, Shape]:
        """The properties that it has, with their types."""
        members = dict(input_shape("sagemaker", f"Create{self.record_type.api}").members)
        if self.record_type.updatable:
            members.update(input_shape("sagemaker", f"Update{self.record_type.api}").members)
        return members

    @property
    def create_only(self) -> tuple[str, ...]:
        """The properties whose change replaces the resource."""
        if self.record_type.updatable:
            return (self.name_property,)
        return tuple(name for name in self.members if name != "Tags")

    def request(self, properties: Properties) -> dict[str, Any]:
        """The properties with the types of the API, which templates may write as strings."""
        return coerced_properties(self.members, properties)

    def attributes(self, record: Record) -> dict[str, str]:
        """What ``Fn::GetAtt`` can ask for."""
        attributes = {self.name_property: record.name, f"{self.record_type.api}Arn": record.arn}
        return attributes if isinstance(record, Model) else {**attributes, "Id": record.arn}


TYPES = tuple(ResourceType(record_type) for record_type in RECORD_TYPES)


class Provisioner(OnLoop):
    """Creates, updates and deletes the resources of stacks. Physical ids are ARNs.

    Args:
        service: The service whose API it calls.
        scope: The account and region of the calling thread's stack.
    """

    def __init__(self, service: SageMaker, scope: Callable[[], Scope]) -> None:
        super().__init__()
        self._service = service
        self._scope = scope

    def create(self, kind: ResourceType, logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
        """Create a resource; an endpoint is waited for until it is in service."""
        return self._on_loop(self._create(self._scope(), kind, logical_id, properties))

    def update(self, kind: ResourceType, physical_id: str, old: Properties, new: Properties) -> Provisioned:
        """Change a resource in place."""
        return self._on_loop(self._update(self._scope(), kind, physical_id, old, new))

    def delete(self, kind: ResourceType, physical_id: str) -> None:
        """Delete a resource; one that is gone already is no error."""
        self._on_loop(self._delete(self._scope(), kind, physical_id))

    async def _create(self, scope: Scope, kind: ResourceType, logical_id: str, properties: Properties) -> Provisioned:
        request = kind.request(properties)
        name = request.setdefault(kind.name_property, _generated_name(logical_id))
        await self._service.call_with_images(scope, f"Create{kind.record_type.api}", request)
        record = _find(self._service.region(scope), kind, name)
        assert record is not None
        if isinstance(record, Endpoint) and (reason := await _settled(record)) is not None:
            # the engine does not know the physical id of what failed, so nobody else would delete it
            await self._delete(scope, kind, record.arn)
            raise RuntimeError(reason)
        return record.arn, kind.attributes(record)

    async def _update(
        self, scope: Scope, kind: ResourceType, physical_id: str, old: Properties, new: Properties
    ) -> Provisioned:
        before, after = kind.request(old), kind.request(new)
        record = _find(self._service.region(scope), kind, _name(physical_id))
        if record is None:
            raise RuntimeError(f"{kind.name} {physical_id} was deleted outside of CloudFormation")
        if isinstance(record, Endpoint) and _without_tags(before) != _without_tags(after):
            await _settled(record)
            self._service.call(scope, "UpdateEndpoint", {**after, "EndpointName": record.name})
            if (reason := await _settled(record)) is not None:
                raise RuntimeError(reason)
        # only now: a failed update leaves the resource as it was
        old_tags, new_tags = tag_map(before.get("Tags", [])), tag_map(after.get("Tags", []))
        kept = {key: value for key, value in record.tags.items() if key not in old_tags}
        record.tags = {**kept, **new_tags}
        return physical_id, kind.attributes(record)

    async def _delete(self, scope: Scope, kind: ResourceType, physical_id: str) -> None:
        record = _find(self._service.region(scope), kind, _name(physical_id))
        if isinstance(record, Endpoint):
            await _settled(record)
            record = _find(self._service.region(scope), kind, record.name)
        if record is None:
            return
        self._service.call(scope, f"Delete{kind.record_type.api}", {kind.name_property: record.name})
        if isinstance(record, Endpoint) and (reason := await _settled(record)) is not None:
            raise RuntimeError(reason)


async def _settled(endpoint: Endpoint) -> str | None:
    """Wait for the endpoint's running change; return the reason when it failed."""
    return None if endpoint.operation is None else await asyncio.shield(endpoint.operation)


def _find(region: Region, kind: ResourceType, name: str) -> Record | None:
    record: Record | None = region.shelf(kind.record_type).find(name)
    return record


def _name(physical_id: str) -> str:
    return physical_id.rpartition("/")[2]


def _generated_name(logical_id: str) -> str:
    # without the stack's name, unlike most types: aws/aws-cli#4021
    suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_SUFFIX_LENGTH))
    prefix = logical_id[: _NAME_LENGTH - _SUFFIX_LENGTH - 1]
    return f"{prefix}-{suffix}"


def _without_tags(request: Properties) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "Tags"}
