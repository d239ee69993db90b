"""Which models nobody needs any more, and their end."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from multi_model_endpoint.aliases import Alias
from multi_model_endpoint.artifacts.naming import ENDING
from multi_model_endpoint.store_url import StoreUrl

from .listing import Model

if TYPE_CHECKING:
    from types_boto3_cloudformation.client import CloudFormationClient
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

_AT_ONCE = 1000  # of S3's DeleteObjects
_ENDING = re.compile(ENDING)


def kept(
    models: Sequence[Model], *, keep: int, before: datetime, aliases: Mapping[str, Alias], endings: Collection[str]
) -> dict[str, str]:
    """Why a model stays, by target model; the others may go.

    Args:
        models: All models of a store.
        keep: How many of the newest of each name stay.
        before: What is younger stays.
        aliases: All aliases of the store.
        endings: What the names that stacks have end in.
    """
    alias_of = {alias.target_model: name for name, alias in aliases.items()}
    by_name = defaultdict(list)
    for model in models:
        by_name[model.name].append(model)
    newest = {
        model
        for versions in by_name.values()
        for model in sorted(versions, key=lambda each: each.modified, reverse=True)[:keep]
    }
    reasons = {}
    for model in models:
        target = model.target_model
        if target in alias_of:
            reasons[target] = f"alias {alias_of[target]}"
        elif model.name is None:
            reasons[target] = "not named by content"
        elif target.removeprefix(model.name) in endings:
            reasons[target] = "in a stack"
        elif model.modified >= before:
            reasons[target] = "too young"
        elif model in newest:
            reasons[target] = f"among the newest {keep}"
    return reasons


def endings_in_stacks(client: CloudFormationClient, stacks: Sequence[str]) -> set[str]:
    """What the content names in stacks end in: their digests, whatever the templates make of the rest.

    Args:
        client: CloudFormation.
        stacks: The stacks' names; none for all of the account in the region, nested ones included.
    """
    endings: set[str] = set()
    for name in stacks or _all_stacks(client):
        template = client.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
        endings |= set(_ENDING.findall(template if isinstance(template, str) else json.dumps(template)))
    return endings


def delete(client: S3Client, store: StoreUrl, targets: Sequence[str]) -> dict[str, str]:
    """Delete models, and return why some could not be."""
    failures: dict[str, str] = {}
    for start in range(0, len(targets), _AT_ONCE):
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": store.prefix + target} for target in targets[start : start + _AT_ONCE]
        ]
        done = client.delete_objects(Bucket=store.bucket, Delete={"Objects": objects, "Quiet": True})
        failures |= {each["Key"].removeprefix(store.prefix): each["Message"] for each in done.get("Errors", ())}
    return failures


def _all_stacks(client: CloudFormationClient) -> Iterator[str]:
    for page in client.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            if stack["StackStatus"] != "REVIEW_IN_PROGRESS":  # has no template yet
                yield stack["StackId"]
