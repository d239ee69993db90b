"""Each image that has a model server here is one that the tests of model servers start."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers import mms, triton
from mme_local.servers.base import ServerError, UnsupportedImage
from mme_local.servers.docker.client import Docker, Image
from mme_local.servers.docker.server import DockerServer
from mme_local.servers.images import Servers


def test_each_image_is_tested(kit: Any) -> None:
    tested = {image.rpartition("/")[2].partition(":")[0] for image in kit.images.values()}
    assert tested == {triton.REPOSITORY, *mms.HANDLERS}


def test_a_container_that_is_all_image_and_no_model_has_no_stand_in(tmp_path: Path) -> None:
    container = ContainerSpec("registry/sagemaker-xgboost:1", multi_model=False)
    with pytest.raises(UnsupportedImage, match="no ModelDataUrl, and only models run here"):
        Servers(None).make(container, tmp_path)


@pytest.mark.parametrize("kind", ["pytorch", "huggingface"])
@pytest.mark.parametrize("installed", [True, False])
async def test_an_image_itself_runs_where_its_extra_is_not_installed_or_docker_is_always_wanted(
    kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, installed: bool
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(Docker, "problem", lambda self: None)
    monkeypatch.setattr(Docker, "image", lambda self, name: Image("amd64", {"label": "true"}, "", ()))
    container, docker = kit.container(kind), Docker({}, tmp_path / "lock")
    for always in (False, True):
        servers = Servers(docker, always=always)
        in_docker = always or not installed
        assert isinstance(servers.make(container, tmp_path), DockerServer if in_docker else mms.MultiModelServer)
        assert await servers.labels(container.image) == ({"label": "true"} if in_docker else None)
    if not installed:
        with pytest.raises(UnsupportedImage, match=rf"pip install 'multi-model-endpoint\[local-{kind}\]'"):
            Servers(None).make(container, tmp_path)


@pytest.mark.parametrize(
    ("variables", "size"),
    [({}, 6_553_500), ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "30"}, 30 * 1024**2), ({"MAX_CONTENT_LENGTH": "1"}, 6_553_500)],
)
def test_the_longest_request_is_that_of_hugging_faces_image(kit: Any, variables: dict[str, str], size: int) -> None:
    assert f"\nmax_request_size={size}\n" in mms._configuration(kit.container("huggingface", **variables))


def test_a_longest_request_that_is_no_number_is_refused(kit: Any) -> None:
    message = "SAGEMAKER_MAX_PAYLOAD_IN_MB must be a number of megabytes, got 'six'"
    with pytest.raises(ServerError, match=message):
        mms._configuration(kit.container("huggingface", SAGEMAKER_MAX_PAYLOAD_IN_MB="six"))
