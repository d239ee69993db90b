"""The generated tables in ``_data``: images by region and instance types."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Tag:
    """An image tag, and the regions of its registry that do not have it."""

    name: str
    missing_regions: frozenset[str]


@dataclass(frozen=True)
class Family:
    """A family of AWS-owned images: one repository in an account per region."""

    repository: str
    registry: str
    versions: dict[str, Tag]


@dataclass(frozen=True)
class InstanceType:
    """What matters about an ``ml.`` instance type here.

    ``multi_model`` is ``cpu``, ``gpu-documented``, ``gpu-single-undocumented``, ``gpu-multi`` or
    ``accelerator-unsupported``: what AWS's multi-model support page says of it.
    """

    arm64: bool | None
    vcpus: int | None
    gpus: int
    local_storage: bool
    multi_model: str


def _load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files(__package__).joinpath("_data", name).read_text(encoding="utf-8"))
    return data


@cache
def families() -> dict[str, Family]:
    """Image families by the name that SageMaker's ``image_uris.retrieve`` gives them."""
    return {
        name: Family(
            family["repository"],
            family["registry"],
            {
                version: Tag(entry["tag"], frozenset(entry.get("missing_regions", ())))
                for version, entry in family["versions"].items()
            },
        )
        for name, family in _load("images.json")["families"].items()
    }


@cache
def registry_accounts(registry: str) -> dict[str, str]:
    """The account that owns a registry's images, by region."""
    accounts: dict[str, str] = _load("images.json")["registries"][registry]
    return accounts


@cache
def instance_types() -> dict[str, InstanceType]:
    """Every instance type that SageMaker endpoints know, by name."""
    return {name: InstanceType(**spec) for name, spec in _load("instance_types.json")["types"].items()}
