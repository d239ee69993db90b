"""Each image that has a model server here is one that the tests of model servers start."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers import mms, triton
from mme_local.servers.base import UnsupportedImage
from mme_local.servers.docker.client import Docker
from mme_local.servers.docker.server import DockerServer
from mme_local.servers.images import Servers


def test_each_image_is_tested(kit: Any) -> None:
    tested = {image.rpartition("/")[2].partition(":")[0] for image in kit.images.values()}
    assert tested == {triton.REPOSITORY, *mms.HANDLERS}


def test_a_container_that_is_all_image_and_no_model_has_no_stand_in(tmp_path: Path) -> None:
    container = ContainerSpec("registry/sagemaker-xgboost:1", multi_model=False)
    with pytest.raises(UnsupportedImage, match="no ModelDataUrl, and only models run here"):
        Servers(None).make(container, tmp_path)


@pytest.mark.parametrize(("installed", "server"), [(True, mms.MultiModelServer), (False, DockerServer)])
def test_pytorchs_image_itself_runs_where_torch_is_not_installed_or_docker_is_always_wanted(
    kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, server: type
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(Docker, "problem", lambda self: None)
    container, docker = kit.container("pytorch"), Docker({}, tmp_path / "lock")
    assert isinstance(Servers(docker).make(container, tmp_path), server)
    assert isinstance(Servers(docker, always=True).make(container, tmp_path), DockerServer)
