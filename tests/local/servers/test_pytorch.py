"""PyTorch's models on Multi Model Server: the answers of AWS's image, whose server is TorchServe."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mme_local.servers.base import ContainerServer, ServerError, UnsupportedImage
from mme_local.servers.choice import server_for
from mme_local.servers.requirements import unmet
from scripts.make_torchserve_answers import ANSWERS, make_models, shown

from .conftest import Kit

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="the extra [local-pytorch] is not installed"
)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # AWS's images load nothing else


@asynccontextmanager
async def serving(
    kit: type[Kit], folder: Path, *, multi_model: bool = True, **environment: str
) -> AsyncIterator[ContainerServer]:
    server = server_for(replace(kit.container("pytorch", **environment), multi_model=multi_model), folder / "server")
    await server.start(60)
    try:
        yield server
    finally:
        await server.stop()


@needs_torch
async def test_it_answers_as_torchserve_does(kit: type[Kit], tmp_path: Path) -> None:
    models = make_models(tmp_path)
    asked: list[dict[str, Any]] = json.loads(ANSWERS.read_text(encoding="utf-8"))["answers"]
    async with serving(kit, tmp_path) as server:
        for name, path in models.items():
            await server.load(name, f"{name}.tar.gz", path)
        for each in asked:
            name, body = each["model"], each["body"].encode("latin-1")
            answer = await server.invoke(name, f"{name}.tar.gz", body, each["headers"])
            assert (answer.status, shown(answer.body)) == (each["status"], each["answer"]), each


@needs_torch
async def test_it_takes_bodies_as_long_as_torchserve_does(kit: type[Kit], tmp_path: Path) -> None:
    models = make_models(tmp_path)
    headers = {"Content-Type": "application/json"}
    async with serving(kit, tmp_path, TS_MAX_REQUEST_SIZE="1000") as server:
        await server.load("model", "model.tar.gz", models["torchscript"])
        for spaces, status in ((990, 200), (994, 413)):
            assert (await server.invoke("model", "model.tar.gz", b"[[1,2]]" + b" " * spaces, headers)).status == status


@needs_torch
async def test_the_only_model_of_a_container_needs_its_requirements(kit: type[Kit], tmp_path: Path) -> None:
    """AWS's image installs them when it starts; those of a multi-model endpoint's models it does not heed."""
    models = make_models(tmp_path)
    (models["torchscript"] / "code" / "requirements.txt").write_text("torch\nnot-installed==1.0  # by nobody\n")
    async with serving(kit, tmp_path, multi_model=False) as server:
        with pytest.raises(ServerError, match=r"asks for not-installed==1\.0: AWS's image installs it when it starts"):
            await server.load("model", "model.tar.gz", models["torchscript"])
    async with serving(kit, tmp_path) as server:
        await server.load("model", "model.tar.gz", models["torchscript"])


def test_requirements_that_are_not_for_this_machine_are_met(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# nothing\nnumpy>=1\nnumpy>=99\n--index-url x\nwinreg; sys_platform == 'win32'\n")
    assert unmet(path) == ["numpy>=99", "--index-url x"]
    assert unmet(tmp_path / "none.txt") == []


def test_without_torch_it_says_what_to_install(kit: type[Kit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedImage, match=r"pip install 'multi-model-endpoint\[local-pytorch\]'"):
        server_for(kit.container("pytorch"), tmp_path)
