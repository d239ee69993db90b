"""Each image that has a model server here is one that the tests of model servers start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers import repository_of, server_for
from mme_local.servers.base import UnsupportedImage


def test_each_image_is_tested(kit: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedImage) as refused:
        server_for(ContainerSpec(image="own:1", multi_model=True), tmp_path)
    listed = re.search(r"images of (.+) can\.", str(refused.value))
    assert listed is not None
    assert {*listed[1].split(", ")} == {repository_of(image) for image in kit.images.values()}


def test_each_kind_of_server_has_a_sample(kit: Any) -> None:
    assert {type(server_for(kit.container(kind), Path())).__name__ for kind in kit.images} == {
        type(server_for(kit.container(each["server"]), Path())).__name__ for each in kit.samples
    }
