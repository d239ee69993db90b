"""What CloudFormation types of any service need: properties with the API's types, and work on the event loop."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from botocore.model import ListShape, MapShape, Shape, StructureShape

T = TypeVar("T")
Properties = Mapping[str, Any]
Provisioned = tuple[str, dict[str, str]]
"""A physical id and the attributes for ``Fn::GetAtt``."""


class PropertyError(ValueError):
    """A template's property that the type does not have, or whose value makes no sense."""


class Kind(Protocol):
    """A CloudFormation type."""

    @property
    def name(self) -> str:
        """What templates call it."""
        ...

    @property
    def create_only(self) -> tuple[str, ...]:
        """The properties whose change replaces the resource."""
        ...

    @property
    def name_property(self) -> str | None:
        """The property with a name that two resources cannot share."""
        ...

    @property
    def taggable(self) -> bool:
        """Whether it has ``Tags``, which the stack's are added to."""
        ...


K = TypeVar("K", bound=Kind, contravariant=True)


class Provisions(Protocol[K]):
    """Creates, updates and deletes the resources of some types."""

    def create(self, kind: K, logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
        """Create a resource."""
        ...

    def update(self, kind: K, physical_id: str, old: Properties, new: Properties) -> Provisioned:
        """Change a resource in place."""
        ...

    def delete(self, kind: K, physical_id: str) -> None:
        """Delete a resource; one that is gone already is no error."""


class OnLoop:
    """The stack engine calls on threads of its own; everything is done on the event loop, where the services live."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the event loop that the service runs on."""
        self._loop = loop

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None, "the gateway attaches the loop at startup"
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def coerced_properties(members: Mapping[str, Shape], properties: Properties) -> dict[str, Any]:
    """The properties with the types of the API, which templates may write as strings."""
    for name in properties:
        if name not in members:
            raise PropertyError(f"Encountered unsupported property {name}")
    return {name: _coerced(members[name], value, name) for name, value in properties.items()}


def _coerced(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(value, str) and isinstance(shape, (StructureShape, ListShape, MapShape)):
        value = _parsed(value, path)
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        if unknown := [name for name in value if name not in shape.members]:
            raise PropertyError(f"Encountered unsupported property {path}/{unknown[0]}")
        return {name: _coerced(shape.members[name], member, f"{path}/{name}") for name, member in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_coerced(shape.member, item, f"{path}/{index}") for index, item in enumerate(value)]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {str(key): _coerced(shape.value, item, f"{path}/{key}") for key, item in value.items()}
    return _coerced_scalar(shape, value, path)


def _coerced_scalar(shape: Shape, value: Any, path: str) -> Any:
    if shape.type_name == "string" and isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str) or shape.type_name == "string":
        return value
    if shape.type_name == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        if shape.type_name in ("integer", "long"):
            return int(value)
        if shape.type_name in ("float", "double"):
            return float(value)
        if shape.type_name == "timestamp":
            return _epoch(value)
    except ValueError:
        pass
    raise PropertyError(f"Value of property {path} must be of type {shape.type_name}, got {value!r}")


def _epoch(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _parsed(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise PropertyError(f"Value of property {path} must be JSON: {error}") from error
