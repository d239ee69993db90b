"""Images that the CDK builds for the local account: Docker has them, ECR describes them, nobody pulls them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mme_local.servers.docker.client import Docker
from mme_local.servers.images import Servers

from .conftest import Images, Site, multi_model
from .images import docker

REGISTRY = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def ecr(site: Site) -> Any:
    return site.local.client("ecr")


@pytest.fixture
def repository(ecr: Any, images: Images, unique: Callable[[str], str]) -> Iterator[str]:
    """One that Docker has the image "built" of, and ECR the image "pushed"."""
    name = unique(f"{images.usual.partition(':')[0]}-")
    ecr.create_repository(repositoryName=name)
    ecr.put_image(repositoryName=name, imageManifest="{}", imageTag="pushed")
    docker("tag", images.usual, f"{REGISTRY}/{name}:built")
    yield name
    docker("rmi", f"{REGISTRY}/{name}:built")


def described(ecr: Any, repository: str, *tags: str) -> list[list[str]]:
    """The tags of the images that are found."""
    answer = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag} for tag in tags])
    return [image["imageTags"] for image in answer["imageDetails"]]


def test_an_image_that_docker_has_is_in_ecr(ecr: Any, repository: str) -> None:
    assert described(ecr, repository, "built") == [["built"]]
    assert described(ecr, repository, "built", "pushed") == [["pushed"], ["built"]]


def test_an_image_that_nobody_has_is_not_found_so_that_the_cdk_builds_it(ecr: Any, repository: str) -> None:
    with pytest.raises(ecr.exceptions.ImageNotFoundException) as caught:
        described(ecr, repository, "pushed", "unknown")
    assert f"imageTag:'unknown'}} does not exist within the repository with name '{repository}'" in str(caught.value)


def test_other_answers_of_ecr_are_as_before(ecr: Any, repository: str) -> None:
    everything = ecr.describe_images(repositoryName=repository)["imageDetails"]
    assert [image["imageTags"] for image in everything] == [["pushed"]]
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        described(ecr, f"{repository}-other", "built")


def test_an_endpoint_runs_the_image_by_its_name_in_the_template(site: Site, repository: str) -> None:
    endpoint = site.deploy(multi_model(f"{REGISTRY}/{repository}:built"))
    assert site.call(endpoint, model="a").startswith("a|")
    site.delete(endpoint)


def test_an_image_of_the_local_account_is_never_pulled(site: Site, repository: str) -> None:
    image = f"{REGISTRY}/{repository}:removed"
    endpoint = site.start(site.model(multi_model(image)))
    status, reason = site.settled(endpoint)
    assert status == "Failed"
    assert f"image {image} is not on this machine, and no registry has it: `cdk deploy` builds it" in reason
    records = [json.loads(line) for line in site.local.log.read_text().splitlines()]
    assert not [record for record in records if record["event"] == "pulling image" and record["image"] == image]
    site.delete(endpoint)


async def test_where_docker_does_not_answer_the_cdk_is_to_build_and_fail_by_it(tmp_path: Path) -> None:
    nowhere = Docker({"PATH": str(tmp_path)}, tmp_path / "lock")
    assert await Servers(nowhere).has("any") is False
    assert await Servers(None).has("any") is None
