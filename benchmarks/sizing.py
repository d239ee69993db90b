"""What ``mme size`` predicts of traces, beside what the local endpoint then does with them."""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.overhead import MODELS, SERVERS, find_sample
from benchmarks.serving import BUCKET, IMAGES, Local, pack
from mme_local.measuring import measure
from mme_local.testing import local_endpoint
from multi_model_endpoint.sizing.assumptions import Assumptions
from multi_model_endpoint.sizing.cache import quantile
from multi_model_endpoint.sizing.demand import Demand, SizedModel
from multi_model_endpoint.sizing.estimate import Estimate, Machine, Sizing
from multi_model_endpoint.sizing.measuring import Measured, concluded, sample
from multi_model_endpoint.sizing.popularity import counted, zipf
from multi_model_endpoint.sizing.sources import sized

MIB = 1024**2
NUMBER, CALLS = 16, 80
SKEWS, BUDGETS = (0.6, 0.9, 1.2), (4, 7, 10)
_RATE = 1e-6  # calls a second of one caller who waits for each answer: no two at a time


@dataclass(frozen=True)
class Subject:
    """Models of one server."""

    title: str
    folder: Path
    models: Mapping[str, SizedModel]

    @property
    def program(self) -> str:
        """The server's program."""
        return SERVERS[self.title][0]

    @property
    def sample(self) -> dict[str, Any]:
        """What to call the models with."""
        return find_sample(SERVERS[self.title][1])

    @property
    def measured_models(self) -> list[SizedModel]:
        """From the smallest to the largest."""
        return sample(list(self.models.values()), 4)

    @contextmanager
    def measured(self) -> Iterator[Sequence[Measured]]:
        """What ``mme size --measure 4`` finds, again and again all the while: no machine is the same all the time."""
        sources = [model.path for model in self.measured_models if model.path]
        found: list[Measured] = []
        over = threading.Event()

        def repeat() -> None:
            while not (found and over.is_set()):
                found.extend(measure(IMAGES[self.program], sources, [None] * len(sources)))

        with ThreadPoolExecutor(1) as pool:
            repeated = pool.submit(repeat)
            try:
                yield found
            finally:
                over.set()
            repeated.result()


@dataclass(frozen=True)
class Replayed:
    """What calls took: the seconds of those that loaded their model, of the others, and of all from first to last."""

    cold: Sequence[float]
    warm: Sequence[float]
    seconds: float


def rows(
    *,
    servers: Iterable[str] = SERVERS,
    skews: Sequence[float] = SKEWS,
    budgets: Sequence[int] = BUDGETS,
    number: int = NUMBER,
    calls: int = CALLS,
) -> list[dict[str, Any]]:
    """A row for each server, memory and skew."""
    return list(each_row(servers, skews, budgets, number, calls))


def each_row(
    servers: Iterable[str], skews: Sequence[float], budgets: Sequence[int], number: int, calls: int
) -> Iterator[dict[str, Any]]:
    """The same, as they come."""
    with tempfile.TemporaryDirectory() as temporary:
        for title in servers:
            subject = _subject(title, Path(temporary, SERVERS[title][0]), number)
            for budget in budgets:
                yield from _at(subject, budget, skews, calls, Path(temporary, "log.jsonl"))


def _subject(title: str, folder: Path, number: int) -> Subject:
    """As many models: a sample with ballast of different sizes."""
    _, name = SERVERS[title]
    chance = random.Random(number)  # noqa: S311 - no secret
    for index in range(number):
        directory = folder / f"model-{index}"
        shutil.copytree(MODELS / find_sample(name)["server"] / name, directory)
        # beside the model itself, where neither server looks
        ballast = directory / ("1" if (directory / "1").is_dir() else "ballast") / "ballast.bin"
        ballast.parent.mkdir(exist_ok=True)
        ballast.write_bytes(chance.randbytes(int(min(3.0, chance.lognormvariate(-0.5, 0.7)) * MIB)))
    return Subject(title, folder, sized([str(folder)], lambda url: []))


def _at(subject: Subject, budget: int, skews: Sequence[float], calls: int, log: Path) -> Iterator[dict[str, Any]]:
    with local_endpoint("--json", "--memory-budget", str(budget), log=log) as running:
        local = Local(psutil.Process(running.process.pid), running)
        s3 = local.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for name in subject.models:
            s3.put_object(Bucket=BUCKET, Key=f"models/{name}.tar.gz", Body=pack(subject.folder / name))
        for skew in skews:
            shares = zipf(list(subject.models), skew)
            trace = random.Random(1).choices(list(shares), list(shares.values()), k=calls)  # noqa: S311 - no secret
            endpoint = f"skew-{round(10 * skew)}"
            with local.endpoint(endpoint, subject.program, "models/"), subject.measured() as measured:
                replayed = _replay(local, endpoint, trace, subject.sample, log)
            predicted = _predicted(subject, budget, trace, measured)
            loads = len(replayed.cold)
            yield {
                "server": subject.title,
                "MiB": budget,
                "skew": skew,
                "hits predicted": f"{round(predicted.hit_ratio, 5):.1%}",
                "hits": f"{1 - loads / calls:.1%}",
                "loads/s predicted": predicted.loads_per_second / _RATE * calls / replayed.seconds,
                "loads/s": loads / replayed.seconds,
                "cold p50 s predicted": predicted.cold_p50,
                "cold p50 s": quantile([(each, 1) for each in replayed.cold], 0.5) - statistics.median(replayed.warm),
            }


def _predicted(subject: Subject, budget: int, trace: Sequence[str], measured: Sequence[Measured]) -> Estimate:
    """As the local endpoint reckons memory; its S3 is on the same disk, and there is one caller."""
    demand = Demand(subject.models, counted(trace, list(subject.models)), _RATE, trace)
    models = subject.measured_models
    seen = concluded(Assumptions(), models * (len(measured) // len(models)), measured)
    assumed = replace(seen, reserve=0, memory_factor=1.2, overhead=0, bandwidth=1e9)
    return Sizing(demand, assumed).estimate(Machine("local", None, budget * MIB), 1)


def _replay(local: Local, endpoint: str, trace: Sequence[str], sample: Mapping[str, Any], log: Path) -> Replayed:
    runtime = local.client("sagemaker-runtime")
    cold: list[float] = []
    warm: list[float] = []
    began = time.perf_counter()
    with log.open() as lines:
        lines.seek(0, os.SEEK_END)
        for name in trace:
            started = time.perf_counter()
            runtime.invoke_endpoint(
                EndpointName=endpoint,
                TargetModel=f"{name}.tar.gz",
                Body=sample["body"],
                ContentType=sample["content_type"],
            )["Body"].read()
            took = time.perf_counter() - started
            (cold if any(json.loads(line)["event"] == "loaded" for line in lines) else warm).append(took)
    return Replayed(cold, warm, time.perf_counter() - began)
