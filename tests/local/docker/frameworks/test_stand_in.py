"""Models of Hugging Face without Docker: AWS's toolkit for them on the local Multi Model Server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.choice import server_for
from tests.local.docker.frameworks.models import PROGRAM, TEXTS, make_model, predictions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


async def test_models_answer_as_their_pipelines_do(tmp_path: Path) -> None:
    for seed, name in enumerate(("plain", "program")):
        make_model(tmp_path / name, seed)
    (tmp_path / "program" / "code").mkdir()
    (tmp_path / "program" / "code" / "inference.py").write_text(PROGRAM, encoding="utf-8")
    container = ContainerSpec("registry/huggingface-pytorch-inference:1", True, environment={"HF_HUB_OFFLINE": "1"})
    server = server_for(container, tmp_path / "server")
    body, headers = json.dumps({"inputs": TEXTS}).encode(), {"Content-Type": "application/json"}
    await server.start(60)
    try:
        found = {}
        for name in ("plain", "program"):
            await server.load(name, f"{name}.tar.gz", tmp_path / name)
            found[name] = json.loads((await server.invoke(name, f"{name}.tar.gz", body, headers)).body)
    finally:
        await server.stop()
    expected = {name: predictions(tmp_path / name) for name in ("plain", "program")}
    assert [each["score"] for each in found["plain"]] == pytest.approx([each["score"] for each in expected["plain"]])
    assert found["program"] == {"labels": [each["label"] for each in expected["program"]]}
