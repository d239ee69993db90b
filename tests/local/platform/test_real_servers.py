"""The platform on the real Multi Model Server and the real Triton."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from mme_local.platform import Settings
from mme_local.platform.utilization import processes_of

from .conftest import Endpoints, Hosted

MODELS = Path(__file__).parents[3] / "stacks" / "models"
SAMPLES = {s["model"]: s for s in json.loads((MODELS / "samples.json").read_text(encoding="utf-8"))}
REGISTRY = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
IMAGES = {
    "xgboost": f"{REGISTRY}/sagemaker-xgboost:3.2-0",
    "triton": f"{REGISTRY}/sagemaker-tritonserver:25.09-py3-cpu",
}


def packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(folder, arcname=".", filter=lambda m: None if "__pycache__" in m.name else m)
    return buffer.getvalue()


async def predict(at: Endpoints, model: str, copy: str = "") -> tuple[int, object]:
    """Invoke a sample model; return the status, and whether the prediction is the sample's."""
    sample = SAMPLES[model]
    headers = {"content_type": sample["content_type"]}
    if "accept" in sample:
        headers["accept"] = sample["accept"]
    status, _, body = await at.invoke(f"{model}{copy}.tar.gz", sample["body"].encode(), **headers)
    return status, prediction(sample, body) if status == 200 else body


def prediction(sample: Mapping[str, Any], body: bytes) -> object:
    answer = json.loads(body)
    if sample["server"] == "triton":
        answer = {output["name"]: output["data"] for output in answer["outputs"]}
    return answer


def right(model: str) -> tuple[int, object]:
    expected = SAMPLES[model]["prediction"]
    if isinstance(expected, dict):
        expected = {k: pytest.approx(v, rel=1e-5) if isinstance(v[0], float) else v for k, v in expected.items()}
        return 200, expected
    return 200, pytest.approx(expected)


SERVERS = [
    "xgboost",
    pytest.param("triton", marks=pytest.mark.skipif(sys.platform != "linux", reason="Triton runs on Linux only")),
]


@pytest.mark.parametrize("kind", SERVERS)
async def test_real_models_answer_through_cold_calls_an_eviction_and_a_kill(hosted: Hosted, kind: str) -> None:
    first, second = (name for name, sample in SAMPLES.items() if sample["server"] == kind)

    before = set(psutil.Process().children(recursive=True))
    settings = Settings(publish_interval=3600, restart_backoff=0.0)
    at = hosted(server_factory=None, memory_budget=25_000, settings=settings)  # one of these models fits, two do not
    for name in (first, second):
        at.bucket.put(f"models/{name}.tar.gz", packed(MODELS / kind / name))
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", at.container(IMAGES[kind]))))
    (instance,) = at.hosting._fleets["demo"].variants["AllTraffic"].instances
    loads = instance._metrics.histograms

    answers = await asyncio.gather(*(predict(at, first) for _ in range(50)))
    assert all(answer == right(first) for answer in answers), collections.Counter(map(str, answers))
    assert sum(loads["ModelLoadingTime"].values()) == 1

    assert await predict(at, second) == right(second)
    assert instance.cache is not None
    assert instance.cache.loaded_count == 1, "it took the place of the other"

    _, *server = processes_of([instance.directory])[instance.directory]  # the first one is the launcher of the others
    for process in server:
        with contextlib.suppress(psutil.NoSuchProcess):  # gone with the one before it
            process.kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, server, 10)
    assert server
    assert not alive
    status, body = await predict(at, second)
    assert status == 424, body
    assert await predict(at, second) == right(second)
    await at.hosting.close()
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [process for process in left if "tritonserver" in process.name() or "java" in process.name()]
