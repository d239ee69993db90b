"""Models that hang, or whose processes die, on the real Multi Model Server and the real Triton."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import psutil
import pytest

from mme_local.platform import Settings
from mme_local.platform.utilization import processes_of

from .conftest import Endpoints, Hosted, Pack

SKLEARN = """
def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    return data

def predict_fn(data, model):
    while data == "hang":
        pass
    return "answer to %s" % data

def output_fn(prediction, accept):
    return prediction
"""
TRITON = """
import os
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(each, "X").as_numpy()[0].decode()) for each in requests]

    def answer(self, text):
        while text == "hang":
            pass
        output = np.array([("answer to " + text).encode()], dtype=np.object_)
        return pb_utils.InferenceResponse([pb_utils.Tensor("Y", output)])
"""
CONFIG = """
backend: "python"
input [ { name: "X" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "Y" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""
REGISTRY = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
FILES = {
    "mms": {"inference.py": SKLEARN.encode()},
    "triton": {"config.pbtxt": CONFIG.encode(), "1/model.py": TRITON.encode()},
}
IMAGES = {
    "mms": f"{REGISTRY}/sagemaker-scikit-learn:1.9-0-cpu-py3",
    "triton": f"{REGISTRY}/sagemaker-tritonserver:25.09-py3-cpu",
}
WORKERS = {"mms": "model_service_worker", "triton": "triton_python_backend_stub"}
needs_triton = pytest.mark.skipif(sys.platform != "linux", reason="Triton runs on Linux only")
SERVERS = ["mms", pytest.param("triton", marks=needs_triton)]
SECONDS = 6.0
"""That a call may take: long enough for any that does not hang, also on a busy machine."""


class Models:
    """An endpoint with the models "a" and "b" on a real server."""

    def __init__(self, at: Endpoints, kind: str) -> None:
        self._at = at
        self._kind = kind

    async def deploy(self, pack: Pack, code: Path) -> None:
        for name in "ab":
            self._at.bucket.put(f"models/{name}", pack(FILES[self._kind]))
        environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(code)}
        container = self._at.container(IMAGES[self._kind], environment=environment if self._kind == "mms" else {})
        await self._at.hosting.deploy(self._at.spec(self._at.variant("A", container)))
        assert [await self.ask(name, "hello") for name in "ab"] == ["answer to hello"] * 2

    async def ask(self, name: str, text: str) -> str | int:
        """The answer's text, or its status where it is an error."""
        body = text
        if self._kind == "triton":
            body = json.dumps({"inputs": [{"name": "X", "shape": [1], "datatype": "BYTES", "data": [text]}]})
        status, _, answer = await self._at.invoke(name, body.encode(), content_type="application/json")
        if status != 200:
            return status
        return json.loads(answer)["outputs"][0]["data"][0] if self._kind == "triton" else answer.decode()

    def workers(self) -> list[psutil.Process]:
        (instance,) = self._at.hosting._fleets["demo"].variants["A"].instances
        return [
            process for process in processes_of([instance.directory])[instance.directory] if self._is_worker(process)
        ]

    def _is_worker(self, process: psutil.Process) -> bool:
        try:
            return WORKERS[self._kind] in " ".join(process.cmdline())
        except psutil.Error:
            return False


@pytest.fixture(params=SERVERS)
async def models(hosted: Hosted, pack: Pack, request: pytest.FixtureRequest, tmp_path: Path) -> Models:
    (tmp_path / "inference.py").write_text(SKLEARN)
    settings = Settings(invoke_timeout=SECONDS, publish_interval=3600, restart_backoff=0.0)
    models = Models(hosted(server_factory=None, settings=settings), request.param)
    await models.deploy(pack, tmp_path)
    return models


async def test_a_model_that_hangs_answers_again_after_one_failed_call_and_others_all_the_time(models: Models) -> None:
    before = models.workers()
    hanging = asyncio.create_task(models.ask("a", "hang"))
    others = []
    while not hanging.done():
        others.append(await models.ask("b", "hello"))
    assert await hanging == 424
    assert set(others) == {"answer to hello"}
    assert [await models.ask(name, "hello") for name in "ab"] == ["answer to hello"] * 2
    left = [process for process in before if process.is_running() and process.cpu_percent(0.2) > 5]
    assert left == []


async def test_calls_behind_one_that_hangs_are_answered(models: Models) -> None:
    hanging = asyncio.create_task(models.ask("a", "hang"))
    await asyncio.sleep(SECONDS / 3)
    behind = [asyncio.create_task(models.ask("a", str(number))) for number in range(3)]
    assert await hanging == 424
    assert await asyncio.gather(*behind) == ["answer to 0", "answer to 1", "answer to 2"]


async def test_a_model_whose_processes_are_killed_fails_one_call_at_most(models: Models) -> None:
    for process in models.workers():
        process.kill()
    first = await asyncio.gather(*(models.ask(name, "hello") for name in "ab"))
    assert set(first) <= {424, "answer to hello"}
    assert [await models.ask(name, "hello") for name in "ab"] == ["answer to hello"] * 2


@pytest.mark.parametrize("models", [pytest.param("triton", marks=needs_triton)], indirect=True)
async def test_no_call_is_lost_or_answered_with_anothers_result_when_tritons_processes_get_no_time(
    models: Models,
) -> None:
    workers = models.workers()
    for process in workers:
        process.suspend()
    calls = [asyncio.create_task(models.ask("ab"[number % 2], str(number))) for number in range(8)]
    await asyncio.sleep(2.5)  # Triton's patience is a second
    for process in workers:
        if process.is_running():
            process.resume()
    assert await asyncio.gather(*calls) == [f"answer to {number}" for number in range(8)]
    assert await models.ask("a", "next") == "answer to next"
