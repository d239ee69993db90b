"""What the first callers of models wait, with a warm-up and without: two endpoints that differ in nothing else.

The models are Triton's, answer after a twentieth of a second, and are loaded as slowly as its Python models are.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3

from benchmarks.deploying import deploy, synthesizer
from benchmarks.overhead import percentile
from benchmarks.serving import BUCKET, pack
from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint, WarmUpCall
from mme_local.testing import LocalEndpoint, local_endpoint

MODELS, ROUNDS, CALLERS = 5, 3, 24
BODY = json.dumps({"inputs": [{"name": "X", "shape": [1], "datatype": "FP32", "data": [1]}]})
PROGRAM = """
import time
import triton_python_backend_utils as triton

class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.05)
        answers = [triton.get_input_tensor_by_name(request, "X").as_numpy() for request in requests]
        return [triton.InferenceResponse([triton.Tensor("Y", answer)]) for answer in answers]
"""
CONFIGURATION = """
backend: "python"
input [ { name: "X" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 4 } ]
"""
ALL_OF_THE_MEMORY = 800_000
"""So large is the model for which all others are evicted, of 1 MiB of memory less a fifth."""


class Endpoint:
    """An endpoint in a stack of its own, warmed up or not."""

    def __init__(self, local: LocalEndpoint, folder: Path, models: int, *, warm: bool) -> None:
        self._local, self._folder, self._models = local, folder, models
        self._warm = warm
        self._round = 0
        self._outputs: dict[str, str] = {}
        self._runtime = local.client("sagemaker-runtime", max_pool_connections=CALLERS)

    def update(self) -> None:
        """Deploy it, or a change of its container."""
        self._round += 1
        app = cdk.App(outdir=str(self._folder / f"{self._warm}-{self._round}"))
        stack = cdk.Stack(app, "Warm" if self._warm else "Cold", synthesizer=synthesizer())
        image = InferenceImage.triton("24.09", cpu=True)
        store = ModelStore(stack, "Models", bucket=s3.Bucket.from_bucket_name(stack, "Bucket", BUCKET))
        endpoint = MultiModelEndpoint(
            stack,
            "Endpoint",
            container=MultiModelContainer(image=image, model_store=store, environment={"ROUND": str(self._round)}),
            instance_type="ml.c5.xlarge",
            initial_instance_count=1,
        )
        cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
        if self._warm:
            warm_up = endpoint.warm_up("WarmUp", [WarmUpCall(name, BODY, "application/json") for name in self._names()])
            cdk.CfnOutput(stack, "Function", value=warm_up.function.function_name)
        self._outputs = deploy(self._local, stack)

    def evict(self) -> None:
        """Load a model that leaves no memory for the others."""
        self._call("large.tar.gz")
        self._again()

    def scale_out(self) -> None:
        """Go from one instance to two."""
        sagemaker = self._local.client("sagemaker")
        name = self._outputs["EndpointName"]
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
        )
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
        self._again()

    def first_calls(self) -> list[float]:
        """What one caller waits for each model."""
        return [self._call(name) for name in self._names()]

    def busy_calls(self) -> list[float]:
        """What callers wait of whom there are more at the same time than one instance is to take."""
        with ThreadPoolExecutor(CALLERS) as pool:
            return [wait for name in self._names() for wait in pool.map(self._call, [name] * CALLERS)]

    def _again(self) -> None:
        """What a schedule would do by now."""
        if self._warm:
            self._local.client("lambda", read_timeout=300).invoke(FunctionName=self._outputs["Function"])

    def _names(self) -> Iterator[str]:
        return (f"model-{number}.tar.gz" for number in range(self._models))

    def _call(self, model: str) -> float:
        started = time.perf_counter()
        self._runtime.invoke_endpoint(
            EndpointName=self._outputs["EndpointName"], TargetModel=model, Body=BODY, ContentType="application/json"
        )["Body"].read()
        return time.perf_counter() - started


EVENTS: dict[str, tuple[Callable[[Endpoint], None], Callable[[Endpoint], list[float]]]] = {
    "an update": (Endpoint.update, Endpoint.first_calls),
    "evictions": (Endpoint.evict, Endpoint.first_calls),
    "a scale-out, busy": (Endpoint.scale_out, Endpoint.busy_calls),
}


def rows(*, models: int = MODELS, rounds: int = ROUNDS, events: Iterable[str] = tuple(EVENTS)) -> list[dict[str, Any]]:
    """The waits of first callers in milliseconds, and how long it took until they could call."""
    with tempfile.TemporaryDirectory() as name, _serve(Path(name), models) as local:
        endpoints = {warm: Endpoint(local, Path(name), models, warm=warm) for warm in (False, True)}
        waits: dict[tuple[str, bool], list[float]] = {}
        taken: dict[tuple[str, bool], list[float]] = {}
        for _ in range(rounds):
            for warm, endpoint in endpoints.items():
                for event in events:
                    happen, calls = EVENTS[event]
                    started = time.perf_counter()
                    happen(endpoint)
                    taken.setdefault((event, warm), []).append(time.perf_counter() - started)
                    waits.setdefault((event, warm), []).extend(calls(endpoint))
    return [
        {
            "after": event,
            "warm-up": "yes" if warm else "no",
            "calls": len(found),
            "p50": percentile(found, 50),
            "p99": percentile(found, 99),
            "until then, s": statistics.median(taken[event, warm]),
        }
        for (event, warm), found in sorted(waits.items(), key=lambda each: list(EVENTS).index(each[0][0]))
    ]


@contextmanager
def _serve(folder: Path, models: int) -> Iterator[LocalEndpoint]:
    """Run ``mme serve`` with the models."""
    with local_endpoint("--instances", "2", "--memory-budget", "1", log=folder / "log.txt") as local:
        client = local.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="models/large.tar.gz", Body=_model(folder, "large", ALL_OF_THE_MEMORY))
        archive = _model(folder, "model", ALL_OF_THE_MEMORY // (2 * models))
        for number in range(models):
            client.put_object(Bucket=BUCKET, Key=f"models/model-{number}.tar.gz", Body=archive)
        yield local


def _model(folder: Path, name: str, size: int) -> bytes:
    program = folder / name / "1" / "model.py"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    (folder / name / "config.pbtxt").write_text(CONFIGURATION)
    (folder / name / "weights.bin").write_bytes(bytes(size))
    return pack(folder / name)
