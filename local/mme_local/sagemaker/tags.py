"""Tags of models, endpoint configurations and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mme_local.aws import listing
from mme_local.aws.tags import tag_list, tag_map
from mme_local.sagemaker.errors import ResourceLimitExceeded, ValidationError
from mme_local.sagemaker.records import RECORD_TYPES, Record, Region

_MOST_TAGS = 50


def find(region: Region, arn: str) -> Record:
    """The resource of an ARN; SageMaker's error when there is none."""
    kind, _, name = arn.removeprefix(region.scope.arn("sagemaker", "")).partition("/")
    for record_type in RECORD_TYPES:
        if record_type.kind == kind:
            record: Record = region.shelf(record_type).get(name)
            return record
    raise ValidationError(f"mme-local keeps no resource of the type of {arn}.")


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
