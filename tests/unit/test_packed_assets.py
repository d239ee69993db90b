"""The archives of models in the cloud assembly: packed right there, and only when a model has changed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import ModelStore, StoredModel
from multi_model_endpoint.artifacts import gzipped

_opened: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | bytes | os.PathLike):
        _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of the test's own, in which also what was written just now is remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("multi_model_endpoint.artifacts.archive.CLOCK_TICK_NS", 0)


@pytest.fixture
def models(model: Path, tmp_path: Path) -> Path:
    for number in range(3):
        folder = tmp_path / "models" / f"model-{number}"
        folder.mkdir(parents=True)
        (folder / "weights.bin").write_bytes(bytes([number]) * 100)
    return tmp_path / "models"


def synth(models: Path, outdir: Path) -> tuple[cdk.App, list[StoredModel]]:
    app = cdk.App(outdir=str(outdir))
    added = ModelStore(cdk.Stack(app, "Stack"), "Models").add_models(models)
    app.synth()
    return app, [*added.values()]


def archives(outdir: Path) -> dict[str, tuple[int, int]]:
    found = {path.name: path.stat() for path in outdir.iterdir() if path.name.endswith(".tar.gz")}
    return {name: (stat.st_ino, stat.st_ctime_ns) for name, stat in found.items()}


def test_an_unchanged_store_is_synthesized_without_opening_or_packing_a_model(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    global _opened
    outdir = tmp_path / "cdk.out"
    synth(models, outdir)
    before = archives(outdir)
    assert len(before) == 3
    monkeypatch.setattr(gzipped, "writer", None)
    _opened = []
    try:
        synth(models, outdir)
        opened = _opened
    finally:
        _opened = None
    assert any(Path(path).parent == outdir for path in opened)
    assert [path for path in opened if Path(path).is_relative_to(models)] == []
    assert archives(outdir) == before


def test_an_app_with_an_assembly_of_its_own_packs_nothing_anew(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synth(models, tmp_path / "cdk.out")
    monkeypatch.setattr(gzipped, "writer", None)
    synth(models, tmp_path / "other")
    assert [*archives(tmp_path / "other")] != []
    assert {name: inode for name, (inode, _) in archives(tmp_path / "other").items()} == {
        name: inode for name, (inode, _) in archives(tmp_path / "cdk.out").items()
    }


def test_only_a_changed_model_is_packed(models: Path, tmp_path: Path) -> None:
    outdir = tmp_path / "cdk.out"
    synth(models, outdir)
    before = archives(outdir)
    (models / "model-1" / "weights.bin").write_bytes(b"\xff" * 100)
    synth(models, outdir)
    after = archives(outdir)
    assert after.items() > before.items()
    assert len(after) == 4


@pytest.mark.parametrize("staged", [True, False])
def test_the_cdk_takes_the_archive_as_it_was_packed_and_copies_nothing(
    model: Path, tmp_path: Path, staged: bool
) -> None:
    outdir = tmp_path / "cdk.out"
    app = cdk.App(outdir=str(outdir), context={} if staged else {"aws:cdk:disable-asset-staging": True})
    stage = cdk.Stage(app, "Stage")
    stored = ModelStore(cdk.Stack(stage, "Stack"), "Models").add_model("resnet", model)
    packed = archives(outdir)
    app.synth()
    assert archives(outdir) == packed
    (name,) = packed
    (manifest,) = outdir.glob("assembly-Stage/*.assets.json")
    files: dict[str, Any] = json.loads(manifest.read_text())["files"]
    source = files[stored.asset.asset_hash]["source"]["path"]
    assert Path(manifest.parent, source).resolve() == (outdir / name).resolve()
