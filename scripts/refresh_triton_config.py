"""Regenerate the table of the fields of Triton's ``config.pbtxt`` from the published ``tritonclient`` package.

Run it in the development environment, which has that package through ``nvidia-pytriton``; then read the diff.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "toolkit" / "multi_model_endpoint" / "artifacts" / "_data" / "triton_model_config.json"


def table() -> dict[str, Any]:
    """Each message's fields with their types, and each enum's values, by name without the package."""
    messages: dict[str, dict[str, str]] = {}
    enums: dict[str, list[str]] = {}
    waiting = list(model_config_pb2.DESCRIPTOR.message_types_by_name.values())
    for enum in model_config_pb2.DESCRIPTOR.enum_types_by_name.values():
        enums[_name(enum)] = [value.name for value in enum.values]
    while waiting:
        message = waiting.pop()
        waiting += message.nested_types
        for enum in message.enum_types:
            enums[_name(enum)] = [value.name for value in enum.values]
        messages[_name(message)] = {field.name: _type(field) for field in message.fields}
    return {
        "_source": f"tritonclient {importlib.metadata.version('tritonclient')} (BSD-3-Clause), model_config.proto",
        "messages": dict(sorted(messages.items())),
        "enums": dict(sorted(enums.items())),
    }


def _type(field: Any) -> str:
    of = field.message_type or field.enum_type
    name = _name(of) if of else _SCALARS[field.type]
    oneof = field.containing_oneof
    return f"repeated {name}" if field.is_repeated else f"oneof-{oneof.name} {name}" if oneof else name


def _name(descriptor: Any) -> str:
    name: str = descriptor.full_name
    return name.removeprefix("inference.")


# The numbers of FieldDescriptorProto.Type
_SCALARS = {
    1: "double",
    2: "float",
    3: "int64",
    4: "uint64",
    5: "int32",
    8: "bool",
    9: "string",
    12: "bytes",
    13: "uint32",
}

if __name__ == "__main__":
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(json.dumps(table(), indent=1) + "\n", encoding="utf-8")
