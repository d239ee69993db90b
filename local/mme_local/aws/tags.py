"""Tags, as templates and most APIs list them and as the services here keep them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mme_local.aws.errors import ValidationError


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
