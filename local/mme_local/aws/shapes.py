"""Checks of values against botocore's service model, with the constraints that botocore's own validator leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from mme_local.aws.errors import SerializationError, ValidationError

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}
# Java's character classes inside the patterns of tags; Python's re has no \p
# and its strings know characters beyond the first 65,536 only as pairs
_JAVA_ONLY = {r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF", r"\p{Print}": r"[\x20-\x7e]"}
_UNICODE_CLASSES = {r"\p{L}": r"^\W\d_", r"\p{N}": r"\d", r"\p{Z}": r"\s"}


@cache
def service_model(service: str) -> ServiceModel:
    """Botocore's model of a service's API."""
    return botocore.session.get_session().get_service_model(service)


def input_shape(service: str, operation: str) -> StructureShape:
    """The members of an operation's request."""
    shape = service_model(service).operation_model(operation).input_shape
    assert isinstance(shape, StructureShape)
    return shape


def check_request(service: str, operation: str, request: Any) -> dict[str, Any]:
    """Return the request without members that the API does not have; raise for anything that the model forbids."""
    shape = input_shape(service, operation)
    known = _typed(shape, request, "")
    problems = list(_violations(shape, known, ""))
    if problems:
        raise ValidationError.of_constraints(problems)
    return known  # type: ignore[no-any-return]  # a structure is a dict


def _typed(shape: Shape, value: Any, path: str) -> Any:
    wrong_bool = isinstance(value, bool) and shape.type_name != "boolean"
    if wrong_bool or not isinstance(value, _JSON_TYPES[shape.type_name]):
        where = f" at '{path}'" if path else ""
        raise SerializationError(f"{type(value).__name__} can not be converted to a {shape.type_name}{where}")
    # botocore's stubs and isinstance() would leave the value an object here
    content: Any = value
    if isinstance(shape, StructureShape):
        return {
            name: _typed(shape.members[name], member, _join(path, name))
            for name, member in content.items()
            if name in shape.members and member is not None
        }
    if isinstance(shape, ListShape):
        return [_typed(shape.member, item, f"{path}.{index}.member") for index, item in enumerate(content, start=1)]
    if isinstance(shape, MapShape):
        return {key: _typed(shape.value, item, f"{path}.{key}") for key, item in content.items()}
    return content


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    for constraint in _own_constraints(shape, value):
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {constraint}"
    if isinstance(shape, StructureShape):
        for name in shape.required_members:
            if name not in value:
                at = _join(path, name)
                yield f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
        for name, member in value.items():
            yield from _violations(shape.members[name], member, _join(path, name))
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value, start=1):
            yield from _violations(shape.member, item, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        yield from _map_violations(shape, value, path)


def _map_violations(shape: MapShape, value: dict[str, Any], path: str) -> Iterator[str]:
    at = f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint"
    for key, item in value.items():
        if broken := list(_own_constraints(shape.key, key)):
            yield f"{at}: Map keys must satisfy constraint: [{', '.join(broken)}]"
        if broken := list(_own_constraints(shape.value, item)):
            yield f"{at}: Map value must satisfy constraint: [{', '.join(broken)}]"


def _own_constraints(shape: Shape, value: Any) -> Iterator[str]:
    sized = shape.type_name in ("string", "list", "map")
    measure, noun = (len(value), "length") if sized else (value, "value")
    minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")
    if minimum is not None and measure < minimum:
        yield f"Member must have {noun} greater than or equal to {minimum}"
    if maximum is not None and measure > maximum:
        yield f"Member must have {noun} less than or equal to {maximum}"
    if shape.type_name != "string":
        return
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not _compiled(pattern).fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {pattern}"
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        yield f"Member must satisfy enum value set: [{', '.join(enum)}]"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_ONLY.items():
        pattern = pattern.replace(java, python)
    if r"\p{" in pattern:
        # a class cannot hold the negated one that means "a letter", so letters become an alternative of the group
        for java, python in _UNICODE_CLASSES.items():
            if not python.startswith("^"):
                pattern = pattern.replace(java, python)
        pattern = re.sub(r"\[\\p\{L\}([^\]]*)\]", r"(?:[^\\W\\d_]|[\1])", pattern)
    return re.compile(pattern)


def _join(path: str, name: str) -> str:
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 512 else f"{text[:512]}..."
