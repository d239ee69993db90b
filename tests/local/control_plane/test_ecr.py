"""DescribeImages by what Docker has; tests/local/docker has the same with a real one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from mme_local.aws.scope import Scope
from mme_local.ministack.ecr import know_built_images
from mme_local.testing import LocalEndpoint

TARGET = "AmazonEC2ContainerRegistry_V20150921"


def test_without_docker_to_run_it_no_image_has_to_be_built(
    control_plane: LocalEndpoint, unique: Callable[[str], str]
) -> None:
    ecr, name = control_plane.client("ecr"), unique("repository")
    ecr.create_repository(repositoryName=name)
    assert ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "unknown"}])["imageDetails"] == []


@pytest.mark.parametrize(
    ("has", "status", "said"),
    [(True, 200, '"imageTags": ["1"]'), (False, 400, "ImageNotFoundException"), (None, 200, '{"imageDetails": []}')],
    ids=["there", "missing", "never run"],
)
async def test_docker_is_asked_by_the_name_in_the_template(
    unique: Callable[[str], str], has: bool | None, status: int, said: str
) -> None:
    asked, name = [], unique("repository")

    async def has_image(image: str) -> bool | None:
        asked.append(image)
        return has

    know_built_images(has_image, lambda: Scope("000000000000", "eu-west-1"))
    handle: Any = importlib.import_module("ministack.app").SERVICE_HANDLERS["ecr"]

    async def call(operation: str, **members: Any) -> tuple[int, str]:
        found, _, body = await handle("POST", "/", {"x-amz-target": f"{TARGET}.{operation}"}, json.dumps(members), {})
        return found, body.decode()

    await call("CreateRepository", repositoryName=name)
    found, body = await call("DescribeImages", repositoryName=name, imageIds=[{"imageTag": "1"}])
    assert found == status
    assert said in body
    assert asked == [f"000000000000.dkr.ecr.eu-west-1.amazonaws.com/{name}:1"]
