"""The generated tables in ``_data``: images by region."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Architecture = Literal["x86_64", "arm64"]


@dataclass(frozen=True)
class AwsImage:
    """An image that AWS publishes, in an account of its own for each region.

    ``version`` is what SageMaker's ``image_uris.retrieve`` calls it, ``registry`` the table of its accounts, and
    ``multi_model`` whether it has the label for multi-model endpoints, None when that is not known; neither are the
    ``regions`` of some. ``end_of_patch`` is the last day on which AWS patches it, None where it names none.
    """

    family: str
    version: str
    registry: str
    repository: str
    tag: str
    architecture: Architecture
    gpu: bool
    multi_model: bool | None
    regions: frozenset[str] | None
    end_of_patch: str | None


@cache
def _load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files(__package__).joinpath("_data", name).read_text(encoding="utf-8"))
    return data


@cache
def aws_images() -> tuple[AwsImage, ...]:
    """Every image that AWS publishes in the families that serve several models, oldest version first."""
    table = _load("images.json")
    images = []
    for row in table["images"]:
        registry = table["families"][row["family"]]
        fields = {"end_of_patch": None, **row}
        missing = fields.pop("missing", "")
        regions = None
        if missing is not None:
            regions = frozenset(table["registries"][registry]).difference(table["missing_regions"].get(missing, ()))
        images.append(AwsImage(**fields, registry=registry, regions=regions))
    return tuple(images)


@cache
def registry_accounts(registry: str) -> dict[str, str]:
    """The account that owns a registry's images, by region."""
    accounts: dict[str, str] = _load("images.json")["registries"][registry]
    return accounts


@cache
def aws_accounts() -> frozenset[str]:
    """The accounts of all registries."""
    return frozenset(
        account for accounts in _load("images.json")["registries"].values() for account in accounts.values()
    )


@cache
def partitions() -> dict[str, str]:
    """The partition of a region, by region."""
    table = _load("images.json")["partitions"]
    return {region: name for name, partition in table.items() for region in partition["regions"]}


def dns_suffix(region: str) -> str | None:
    """The end of host names in a region; None when the region is not known."""
    suffix: str | None = _load("images.json")["partitions"].get(partitions().get(region), {}).get("dns_suffix")
    return suffix
