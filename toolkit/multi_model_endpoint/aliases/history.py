"""All aliases of a store, and what they named before."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from multi_model_endpoint.artifacts.alias_names import FOLDER, check_alias
from multi_model_endpoint.store_url import StoreUrl

from .errors import InvalidAliasError, NoEarlierModelError, UnknownAliasError
from .store import Alias, Aliases, named_in

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

AT_ONCE = 16
"""Requests that read aliases of a store; a client for it has at least so many connections."""


@dataclass(frozen=True)
class Version:
    """What an alias named once.

    Attributes:
        target_model: The model; None from when the alias was deleted.
        since: From when on.
    """

    target_model: str | None
    since: datetime


def all_aliases(client: S3Client, store: StoreUrl) -> tuple[dict[str, Alias], list[InvalidAliasError]]:
    """All aliases of a store by name, in order, and what is wrong with those that name no target model."""
    aliases, problems = Aliases(client, store), []
    found = {}

    def read(name: str) -> Alias | InvalidAliasError | None:
        with suppress(UnknownAliasError):  # deleted meanwhile
            try:
                return aliases.get(name)
            except InvalidAliasError as error:
                return error
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for read_one in pool.map(read, _names(client, store)):
            if isinstance(read_one, InvalidAliasError):
                problems.append(read_one)
            elif read_one is not None:
                found[read_one.name] = read_one
    return found, problems


def history(client: S3Client, store: StoreUrl, name: str, most: int | None = None) -> Iterator[Version]:
    """What an alias has named, the newest first, as far as the bucket has kept it.

    Takes ``s3:ListBucketVersions`` and ``s3:GetObjectVersion``.
    """
    key = Aliases(client, store).key(name)
    for version_id, deleted, since in islice(_versions(client, store.bucket, key), most):
        if deleted:
            yield Version(None, since)
            continue
        answer = client.get_object(Bucket=store.bucket, Key=key, VersionId=version_id)
        yield Version(named_in(answer), since)


def rollback(client: S3Client, store: StoreUrl, name: str) -> Alias:
    """Let an alias name the model that it named before, unless somebody else changes it meanwhile.

    An alias that was deleted names what it named last.

    Raises:
        NoEarlierModelError: If the bucket has kept none.
        AliasMovedError: If somebody else was faster.
    """
    aliases = Aliases(client, store)
    now: Alias | None = None
    with suppress(UnknownAliasError):
        now = aliases.get(name)
    current = None if now is None else now.target_model
    for version in history(client, store, name):
        if version.target_model not in (None, current):
            assert version.target_model is not None
            return aliases.set(name, version.target_model, replaces=now)
    raise NoEarlierModelError(alias=name, store=store)


def _names(client: S3Client, store: StoreUrl) -> Iterator[str]:
    folder = f"{store.prefix}{FOLDER}"
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=folder):
        for item in page.get("Contents", ()):
            name = item["Key"].removeprefix(folder)
            with suppress(ValueError):  # something else that somebody put there
                check_alias(name)
                yield name


def _versions(client: S3Client, bucket: str, key: str) -> Iterator[tuple[str, bool, datetime]]:
    """The id of each version of an object, whether it was deleted then, and when."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        found: list[tuple[Any, bool]] = [(each, False) for each in page.get("Versions", ())]
        found += [(each, True) for each in page.get("DeleteMarkers", ())]
        found.sort(key=lambda pair: (pair[0]["IsLatest"], pair[0]["LastModified"]), reverse=True)
        for each, deleted in found:
            if each["Key"] == key:
                yield each["VersionId"], deleted, each["LastModified"]
