"""What the fields of Triton's ``config.pbtxt`` may hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from .textproto import Field, Message, Symbol, Value

_INTEGERS = {"int32": (-(2**31), 2**31), "int64": (-(2**63), 2**63), "uint32": (0, 2**32), "uint64": (0, 2**64)}
_BOOLEANS = {"true", "True", "t", "false", "False", "f"}
_REALS = {"inf", "infinity", "nan"}


@dataclass(frozen=True)
class SchemaProblem:
    """Something in a configuration that Triton's schema does not allow.

    ``unknown`` tells a name that the table does not have, and that a newer Triton may: those are not errors.
    """

    message: str
    unknown: bool = False


def schema_problems(message: Message, type_name: str = "ModelConfig") -> Iterator[SchemaProblem]:
    """What Triton's schema does not allow in a parsed message."""
    known = _table()["messages"][type_name]
    seen: dict[str, str] = {}
    for each in message.fields:
        if each.name.startswith("["):
            yield SchemaProblem(f"line {each.line}: {type_name} has no extensions, got {each.name}")
            continue
        if each.name not in known:
            yield SchemaProblem(f"line {each.line}: {type_name} has no field {each.name!r}", unknown=True)
            continue
        label, _, kind = known[each.name].rpartition(" ")
        if label != "repeated":
            if each.empty:
                yield SchemaProblem(f"line {each.line}: {each.name} must be one value, got a list")
            group = label or each.name
            if group in seen:
                yield SchemaProblem(f"line {each.line}: {each.name} must not be given beside {seen[group]}")
            seen[group] = each.name
        if not each.empty:
            yield from _value_problems(each, kind)


def _value_problems(each: Field, kind: str) -> Iterator[SchemaProblem]:
    table = _table()
    if kind in table["messages"]:
        if isinstance(each.value, Message):
            yield from schema_problems(each.value, kind)
        else:
            yield SchemaProblem(f"line {each.line}: {each.name} must be a message in braces, got {_shown(each.value)}")
    elif kind in table["enums"]:
        if isinstance(each.value, Symbol):
            if each.value not in table["enums"][kind]:
                names = ", ".join(table["enums"][kind])
                yield SchemaProblem(
                    f"line {each.line}: {each.name} must be one of {names}, got {each.value}", unknown=True
                )
        elif not _is_integer(each.value, "int32"):
            yield SchemaProblem(f"line {each.line}: {each.name} must be a {kind}, got {_shown(each.value)}")
    elif not _is_scalar(each.value, kind):
        yield SchemaProblem(f"line {each.line}: {each.name} must be {_described(kind)}, got {_shown(each.value)}")


def _is_scalar(value: Value, kind: str) -> bool:
    if kind in _INTEGERS:
        return _is_integer(value, kind)
    if kind == "bool":
        return value in _BOOLEANS if isinstance(value, Symbol) else type(value) is int and value in (0, 1)
    if kind in ("float", "double"):
        return value.lower() in _REALS if isinstance(value, Symbol) else isinstance(value, (int, float))
    if kind == "string" and isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
    return isinstance(value, bytes)


def _is_integer(value: Value, kind: str) -> bool:
    low, high = _INTEGERS[kind]
    return type(value) is int and low <= value < high


def _described(kind: str) -> str:
    if kind in _INTEGERS:
        return f"an {kind}" if kind[0] == "i" else f"a {kind}"
    return {"bool": "true or false", "string": "a quoted string", "bytes": "a quoted string"}.get(kind, "a number")


def _shown(value: Value) -> str:
    if isinstance(value, Message):
        return "a message"
    return repr(value.decode(errors="replace")) if isinstance(value, bytes) else str(value)


@cache
def _table() -> dict[str, Any]:
    text = files(__package__).joinpath("_data", "triton_model_config.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
