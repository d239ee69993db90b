"""What ``mme size`` predicts of traces, beside what the local endpoint then does with them."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.overhead import MODELS, SERVERS, find_sample
from benchmarks.serving import BUCKET, IMAGES, Local, pack
from mme_local.measuring import measure
from mme_local.testing import local_endpoint
from multi_model_endpoint.sizing.assumptions import Assumptions
from multi_model_endpoint.sizing.demand import Demand, SizedModel
from multi_model_endpoint.sizing.estimate import Estimate, Machine, Sizing
from multi_model_endpoint.sizing.popularity import counted, zipf
from multi_model_endpoint.sizing.sources import sized

MIB = 1024**2
NUMBER, CALLS = 24, 300
SKEWS, BUDGETS = (0.6, 0.9, 1.2), (6, 12, 18)


@dataclass(frozen=True)
class Subject:
    """Models of one server, and what loading and unloading them takes."""

    title: str
    folder: Path
    models: Mapping[str, SizedModel]
    load_seconds: float
    unload_seconds: float

    @property
    def program(self) -> str:
        """The server's program."""
        return SERVERS[self.title][0]

    @property
    def sample(self) -> dict[str, Any]:
        """What to call the models with."""
        return find_sample(SERVERS[self.title][1])


def rows(
    *,
    servers: Iterable[str] = SERVERS,
    skews: Sequence[float] = SKEWS,
    budgets: Sequence[int] = BUDGETS,
    number: int = NUMBER,
    calls: int = CALLS,
) -> list[dict[str, Any]]:
    """A row for each server, memory and skew."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        for title in servers:
            subject = _subject(title, Path(temporary, SERVERS[title][0]), number)
            for budget in budgets:
                found += list(_at(subject, budget, skews, calls, Path(temporary, "log.jsonl")))
    return found


def _subject(title: str, folder: Path, number: int) -> Subject:
    """As many models, a sample with ballast of different sizes; their loads are measured as ``--measure 3`` does."""
    _, name = SERVERS[title]
    sample = find_sample(name)
    chance = random.Random(number)  # noqa: S311 - no secret
    for index in range(number):
        directory = folder / f"model-{index}"
        shutil.copytree(MODELS / sample["server"] / name, directory)
        # beside the model itself, where neither server looks
        ballast = directory / ("1" if (directory / "1").is_dir() else "ballast") / "ballast.bin"
        ballast.parent.mkdir(exist_ok=True)
        ballast.write_bytes(chance.randbytes(int(min(3.0, chance.lognormvariate(-0.5, 0.7)) * MIB)))
    models = sized([str(folder)], lambda url: [])
    sources = [folder / f"model-{index}" for index in range(min(3, number))]
    taken = measure(IMAGES[SERVERS[title][0]], sources, sample["body"].encode(), sample["content_type"])
    loads, unloads = ([each.load_seconds for each in taken], [each.unload_seconds for each in taken])
    return Subject(title, folder, models, statistics.median(loads), statistics.median(unloads))


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
            predicted = _predicted(subject, budget, trace)
            before = log.stat().st_size
            with local.endpoint(f"skew-{round(10 * skew)}", subject.program, "models/"):
                waits = _called(local, f"skew-{round(10 * skew)}", trace, subject.sample)
            loads = _loads(log, before)
            cold = statistics.median(sorted(waits)[-loads:])
            yield {
                "server": subject.title,
                "MiB": budget,
                "skew": skew,
                "hits predicted": f"{predicted.hit_ratio:.1%}",
                "hits measured": f"{1 - loads / calls:.1%}",
                "points apart": 100 * (predicted.hit_ratio - 1 + loads / calls),
                "loads predicted": round(calls * (1 - predicted.hit_ratio)),
                "loads measured": loads,
                "cold p50 s predicted": predicted.cold_p50,
                "cold p50 s measured": cold,
            }


def _predicted(subject: Subject, budget: int, trace: Sequence[str]) -> Estimate:
    """As the local endpoint reckons memory; its S3 is on the same disk, and there is one caller."""
    demand = Demand(subject.models, counted(trace, list(subject.models)), 1e-6, trace)
    assumed = Assumptions(
        reserve=0,
        memory_factor=1.2,
        bandwidth=1e9,
        load_seconds=subject.load_seconds,
        unload_seconds=subject.unload_seconds,
    )
    return Sizing(demand, assumed).estimate(Machine("local", None, budget * MIB), 1)


def _called(local: Local, endpoint: str, trace: Sequence[str], sample: Mapping[str, Any]) -> list[float]:
    runtime = local.client("sagemaker-runtime")
    waits = []
    for name in trace:
        started = time.perf_counter()
        runtime.invoke_endpoint(
            EndpointName=endpoint,
            TargetModel=f"{name}.tar.gz",
            Body=sample["body"],
            ContentType=sample["content_type"],
        )["Body"].read()
        waits.append(time.perf_counter() - started)
    return waits


def _loads(log: Path, before: int) -> int:
    with log.open() as file:
        file.seek(before)
        return sum(json.loads(line).get("event") == "loaded" for line in file if line.startswith("{"))
