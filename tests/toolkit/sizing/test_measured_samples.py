"""What the server is given of the models that are measured: their files, also those of stores, and payloads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mme_local.servers.base import ServerResponse
from mme_local.testing import LocalEndpoint
from multi_model_endpoint.artifacts.packing import packed
from multi_model_endpoint.command import mme

IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0"


class Server:
    """Takes every model, once under each name, and notes what it is called with."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        self.calls: dict[str, set[tuple[bytes, str | None]]] = {}

    async def start(self, seconds: float) -> None:
        self.calls.clear()

    async def stop(self) -> None:
        pass

    async def load(self, name: str, target_model: str, directory: Path) -> None:
        assert target_model not in self.loaded.values()
        self.loaded[name] = target_model
        self.calls[await asyncio.to_thread((directory / "weights.bin").read_text)] = set()

    async def unload(self, name: str) -> None:
        del self.loaded[name]

    async def invoke(self, name: str, target_model: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        assert self.loaded[name] == target_model
        self.calls[[*self.calls][-1]].add((body, headers.get("content-type")))
        return ServerResponse(200, {}, b"")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr("mme_local.measuring.server_for", lambda container, folder: server)
    return server


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for number, name in enumerate(("churn", "fraud", "price")):
        (folder / name).mkdir(parents=True)
        (folder / name / "weights.bin").write_text(name + "!" * number)
    return folder


def measured(*arguments: object, status: int = 0) -> Result:
    options = ["--rps", "1", "--instance", "ml.m6i.large", "--price", "ml.m6i.large=1", "--measure", "5"]
    result = CliRunner().invoke(mme, ["size", *map(str, arguments), *options, "--image", IMAGE])
    assert result.exit_code == status, result.output
    return result


def test_each_model_is_called_with_its_own_payload_or_that_of_all_if_there_is_one(
    server: Server, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "payloads").mkdir()
    (tmp_path / "payloads" / "churn.csv").write_text("1,2")
    (tmp_path / "payloads" / "fraud.json").write_text("[3]")
    measured(models, "--payloads", tmp_path / "payloads")
    own = {"churn": {(b"1,2", "text/csv")}, "fraud!": {(b"[3]", "application/json")}}
    assert server.calls == own | {"price!!": set()}
    (tmp_path / "any.csv").write_text("0")
    measured(models, "--payloads", tmp_path / "payloads", "--payload", tmp_path / "any.csv")
    assert server.calls == own | {"price!!": {(b"0", "text/csv")}}


def test_several_payloads_of_one_model_are_refused(models: Path, tmp_path: Path) -> None:
    for ending in ("csv", "json"):
        (tmp_path / f"churn.{ending}").touch()
    result = measured(models, "--payloads", tmp_path, status=2)
    assert "several payloads for 'churn': churn.csv, churn.json" in " ".join(result.stderr.split())


class TestModelsOfAStore:
    """The sample is downloaded."""

    @pytest.fixture
    def store(self, control_plane: LocalEndpoint, unique: Any, models: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        for name, value in control_plane.environment.items():
            monkeypatch.setenv(name, value)
        bucket = unique("measured")
        s3 = control_plane.client("s3")
        s3.create_bucket(Bucket=bucket)
        for name in ("churn", "fraud"):
            with packed(models / name) as artifact:
                s3.upload_file(str(artifact.path), bucket, f"models/{name}.tar.gz")
        return f"s3://{bucket}/models/"

    def test_are_measured_beside_those_of_folders(self, server: Server, store: str, models: Path) -> None:
        result = measured(store, models)
        assert set(server.calls) == {"churn", "fraud!", "price!!"}
        assert "measured of 5 models" in result.stdout

    def test_have_payloads_by_their_names_without_the_ending(self, server: Server, store: str, tmp_path: Path) -> None:
        (tmp_path / "churn.csv").write_text("1,2")
        measured(store, "--payloads", tmp_path)
        assert server.calls == {"churn": {(b"1,2", "text/csv")}, "fraud!": set()}

    def test_that_are_too_big_are_not_downloaded(
        self, store: str, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("multi_model_endpoint.sizing.inputs._MOST_DOWNLOADED", 100)
        result = measured(store, status=1)
        said = " ".join(result.stderr.split())
        assert "nothing was measured: the sample must be at most 100 bytes to download, got" in said
        assert not server.calls
