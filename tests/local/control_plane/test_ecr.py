"""DescribeImages where no image runs in Docker; tests/local/docker has the others."""

from __future__ import annotations

from collections.abc import Callable

from mme_local.testing import LocalEndpoint


def test_without_docker_to_run_it_no_image_has_to_be_built(
    control_plane: LocalEndpoint, unique: Callable[[str], str]
) -> None:
    ecr, name = control_plane.client("ecr"), unique("repository")
    ecr.create_repository(repositoryName=name)
    assert ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "unknown"}])["imageDetails"] == []
