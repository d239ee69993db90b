"""Models that hang, or whose processes die, on the real Multi Model Server and the real Triton."""

from __future__ import annotations

import asyncio
import json
import sys

import psutil
import pytest

from mme_local.platform import Settings
from mme_local.platform.utilization import processes_of

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

    def __init__(self, at, kind):
        self._at = at
        self._kind = kind

    async def deploy(self, pack, code):
        for name in "ab":
            self._at.bucket.put(f"models/{name}", pack(FILES[self._kind]))
        environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(code)}
        container = self._at.container(IMAGES[self._kind], environment=environment if self._kind == "mms" else {})
        await self._at.hosting.deploy(self._at.spec(self._at.variant("A", container)))
        assert [await self.ask(name, "hello") for name in "ab"] == ["answer to hello"] * 2

    async def ask(self, name, text):
        """The answer's text, or its status where it is an error."""
        body = text
        if self._kind == "triton":
            body = json.dumps({"inputs": [{"name": "X", "shape": [1], "datatype": "BYTES", "data": [text]}]})
        status, _, answer = await self._at.invoke(name, body.encode(), content_type="application/json")
        if status != 200:
            return status
        return json.loads(answer)["outputs"][0]["data"][0] if self._kind == "triton" else answer.decode()

    def workers(self):
        (instance,) = self._at.hosting._fleets["demo"].variants["A"].instances
        return [process for process in processes_of(instance.directory) if self._is_worker(process)]

    def _is_worker(self, process):
        try:
            return WORKERS[self._kind] in " ".join(process.cmdline())
        except psutil.Error:
            return False


@pytest.fixture(params=SERVERS)
def models(run, pack, request, tmp_path):
    """Run a test on such an endpoint."""
    (tmp_path / "inference.py").write_text(SKLEARN)

    def runner(test):
        async def main(at):
            found = Models(at, request.param)
            await found.deploy(pack, tmp_path)
            await test(found)

        settings = Settings(invoke_timeout=SECONDS, publish_interval=3600, restart_backoff=0.0)
        run(main, server_factory=None, settings=settings, limit=120)

    return runner


def test_a_model_that_hangs_answers_again_after_one_failed_call_and_others_all_the_time(models):
    async def test(at):
        before = at.workers()
        hanging = asyncio.create_task(at.ask("a", "hang"))
        others = []
        while not hanging.done():
            others.append(await at.ask("b", "hello"))
        assert await hanging == 424
        assert set(others) == {"answer to hello"}
        assert [await at.ask(name, "hello") for name in "ab"] == ["answer to hello"] * 2
        left = [process for process in before if process.is_running() and process.cpu_percent(0.2) > 5]
        assert left == []

    models(test)


def test_calls_behind_one_that_hangs_are_answered(models):
    async def test(at):
        hanging = asyncio.create_task(at.ask("a", "hang"))
        await asyncio.sleep(SECONDS / 3)
        behind = [asyncio.create_task(at.ask("a", str(number))) for number in range(3)]
        assert await hanging == 424
        assert await asyncio.gather(*behind) == ["answer to 0", "answer to 1", "answer to 2"]

    models(test)


def test_a_model_whose_processes_are_killed_fails_one_call_at_most(models):
    async def test(at):
        for process in at.workers():
            process.kill()
        first = await asyncio.gather(*(at.ask(name, "hello") for name in "ab"))
        assert set(first) <= {424, "answer to hello"}
        assert [await at.ask(name, "hello") for name in "ab"] == ["answer to hello"] * 2

    models(test)


@pytest.mark.parametrize("models", [pytest.param("triton", marks=needs_triton)], indirect=True)
def test_no_call_is_lost_or_answered_with_anothers_result_when_tritons_processes_get_no_time(models):
    async def test(at):
        workers = at.workers()
        for process in workers:
            process.suspend()
        calls = [asyncio.create_task(at.ask("ab"[number % 2], str(number))) for number in range(8)]
        await asyncio.sleep(2.5)  # Triton's patience is a second
        for process in workers:
            if process.is_running():
                process.resume()
        assert await asyncio.gather(*calls) == [f"answer to {number}" for number in range(8)]
        assert await at.ask("a", "next") == "answer to next"

    models(test)
