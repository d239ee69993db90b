"""The models under a prefix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from multi_model_endpoint.aliases import FOLDER
from multi_model_endpoint.artifacts.naming import ENDING
from multi_model_endpoint.store_url import StoreUrl

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient

_VERSIONED = re.compile(rf"(.+){ENDING}")


class NoStoreError(Exception):
    """An endpoint that has no store, or several."""


@dataclass(frozen=True)
class Model:
    """An archive in a store.

    Attributes:
        target_model: Its name in ``TargetModel``.
        size: Its bytes.
        modified: When it was uploaded.
    """

    target_model: str
    size: int
    modified: datetime

    @property
    def name(self) -> str | None:
        """What its versions have in common; None when it is not named by its content."""
        match = _VERSIONED.fullmatch(self.target_model)
        return match and match[1]


def models_in_store(client: S3Client, store: StoreUrl) -> list[Model]:
    """All archives of a store, in the order of their names."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=store.prefix)
    return [
        Model(target, item["Size"], item["LastModified"])
        for page in pages
        for item in page.get("Contents", ())
        if (target := item["Key"].removeprefix(store.prefix)).endswith(".tar.gz") and not target.startswith(FOLDER)
    ]


def store_of_endpoint(client: SageMakerClient, name: str) -> StoreUrl:
    """The store of an endpoint's multi-model containers.

    Raises:
        NoStoreError: If there is none, or there are several.
    """
    config = client.describe_endpoint_config(
        EndpointConfigName=client.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    )
    urls: set[str] = set()
    for variant in config["ProductionVariants"]:
        model = client.describe_model(ModelName=variant["ModelName"])
        containers = [
            *model.get("Containers", ()),
            *([model["PrimaryContainer"]] if "PrimaryContainer" in model else ()),
        ]
        urls |= {each["ModelDataUrl"] for each in containers if each.get("Mode") == "MultiModel"}
    if len(urls) != 1:
        raise NoStoreError(_one_of(name, sorted(urls)))
    return StoreUrl.parse(urls.pop())


def _one_of(name: str, urls: Sequence[str]) -> str:
    if not urls:
        return f"endpoint {name!r} has no multi-model container"
    return f"endpoint {name!r} has several stores: name one of {', '.join(urls)}"
