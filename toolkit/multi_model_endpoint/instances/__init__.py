"""What is known of SageMaker's instance types: a generated table in ``_data``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class InstanceType:
    """What matters about an ``ml.`` instance type here.

    ``multi_model`` is ``cpu``, ``gpu-documented``, ``gpu-single-undocumented``, ``gpu-multi`` or
    ``accelerator-unsupported``: what AWS's multi-model support page says of it. ``gpu_memory_mib`` is that
    of all NVIDIA GPUs, None when it is not known.
    """

    arm64: bool | None
    vcpus: int | None
    memory_mib: int | None
    gpus: int
    local_storage: bool
    multi_model: str
    gpu_memory_mib: int | None = None


@cache
def instance_types() -> dict[str, InstanceType]:
    """Every instance type that SageMaker endpoints know, by name."""
    table = json.loads(files(__package__).joinpath("_data", "instance_types.json").read_text(encoding="utf-8"))
    return {name: InstanceType(**specification) for name, specification in table["types"].items()}
