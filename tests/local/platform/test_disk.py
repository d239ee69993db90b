"""The disk of an instance when something goes wrong with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mme_local.platform.artifacts import ArtifactStore
from mme_local.platform.disk import Disk
from mme_local.platform.errors import InternalDependencyException
from mme_local.platform.model import InstanceModel


async def test_a_folder_that_is_gone_is_said_to_whoever_waits_for_a_model(tmp_path: Path) -> None:
    store = ArtifactStore("http://127.0.0.1:9", region="us-east-1", max_members=1, max_bytes=1)
    with ThreadPoolExecutor(1) as executor:
        disk = Disk(store, tmp_path / "models", executor, budget=None)
        disk.directory.rmdir()
        with pytest.raises(InternalDependencyException, match="the local disk failed"):
            await disk.fetch(InstanceModel("s3://models/a.tar.gz", "a.tar.gz"))


async def test_nothing_stays_of_a_model_that_could_not_be_fetched(tmp_path: Path) -> None:
    store = ArtifactStore("http://127.0.0.1:9", region="us-east-1", max_members=1, max_bytes=1)
    with ThreadPoolExecutor(1) as executor:
        disk = Disk(store, tmp_path / "models", executor, budget=None)
        with pytest.raises(InternalDependencyException, match="S3 failed"):
            await disk.fetch(InstanceModel("s3://models/a.tar.gz", "a.tar.gz"))
        assert list(disk.directory.iterdir()) == []
