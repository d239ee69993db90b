"""Tags of models, endpoint configurations and endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mme_local.sagemaker import listing
from mme_local.sagemaker.errors import ResourceLimitExceeded, ValidationError
from mme_local.sagemaker.records import Record, Region

_MOST_TAGS = 50


def tag_map(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """A list of tags as a mapping; a key may be named once."""
    mapped: dict[str, str] = {}
    for tag in tags:
        if tag["Key"] in mapped:
            raise ValidationError(f"Duplicate tag keys found: {tag['Key']}")
        mapped[tag["Key"]] = tag["Value"]
    return mapped


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A mapping of tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def find(region: Region, arn: str) -> Record:
    """The resource of an ARN; SageMaker's error when there is none."""
    shelves = {"model": region.models, "endpoint-config": region.configs, "endpoint": region.endpoints}
    kind, _, name = arn.removeprefix(region.scope.arn_prefix).partition("/")
    if kind not in shelves:
        raise ValidationError(f"mme-local keeps no resource of the type of {arn}.")
    record: Record = shelves[kind].get(name)  # type: ignore[attr-defined]  # the join of the three shelves
    return record


def add_tags(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """AddTags."""
    record = find(region, request["ResourceArn"])
    merged = {**record.tags, **tag_map(request["Tags"])}
    if len(merged) > _MOST_TAGS:
        raise ResourceLimitExceeded(f"A resource can have at most {_MOST_TAGS} tags, got {len(merged)}.")
    record.tags = merged
    return {"Tags": tag_list(merged)}


def list_tags(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """ListTags."""
    record = find(region, request["ResourceArn"])
    tags, token = listing.page(tag_list(record.tags), request, default_size=_MOST_TAGS)
    return listing.answer("Tags", tags, token)


def delete_tags(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """DeleteTags."""
    record = find(region, request["ResourceArn"])
    record.tags = {key: value for key, value in record.tags.items() if key not in request["TagKeys"]}
    return {}
