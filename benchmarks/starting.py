"""Where the time goes before an endpoint answers: start of ``mme serve``, first call of a model, ``cdk deploy``."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.overhead import MODELS, SERVERS, endpoint_route, find_sample, new_session
from benchmarks.serving import BUCKET, Local, model, pack
from mme_local.testing import local_endpoint

ROOT = Path(__file__).parents[1]
STARTS, FIRST_CALLS = 5, 3


def rows(
    *, starts: int = STARTS, servers: Iterable[str] = SERVERS, first_calls: int = FIRST_CALLS, deploy: bool = True
) -> list[dict[str, Any]]:
    """Each part with its milliseconds, the median of several; a deployment runs once."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(start_rows(Path(folder), starts))
        log = Path(folder, "calls.jsonl")
        with local_endpoint("--json", log=log) as running:
            local = Local(psutil.Process(running.process.pid), running)
            local.client("s3").create_bucket(Bucket=BUCKET)
            for title in servers:
                found += first_call_rows(local, title, log, first_calls)
        return found + (list(deploy_rows(Path(folder))) if deploy else [])


def start_rows(folder: Path, starts: int) -> Iterator[dict[str, Any]]:
    """The start of ``mme serve`` until it answers, and the processor time that it takes."""
    waits, busy = [], []
    for _ in range(starts):
        started = time.perf_counter()
        with local_endpoint(log=folder / "start.txt") as running:
            waits.append(time.perf_counter() - started)
            busy.append(_cpu_seconds(running.process.pid))
    yield _row("start of mme serve", "until it answers", statistics.median(waits))
    yield _row("start of mme serve", "processor time", statistics.median(busy))


def first_call_rows(local: Local, title: str, log: Path, count: int) -> list[dict[str, Any]]:
    """The first calls of models by what the endpoint's log says of each: the rest is the call itself, and ours."""
    program, name = SERVERS[title]
    sample = find_sample(name)
    local.upload(f"{name}/", pack(MODELS / sample["server"] / name), 0, count)
    before = log.stat().st_size
    with local.endpoint(name, program, f"{name}/"):
        waits = asyncio.run(_first_calls(local, name, sample, count))
    with log.open() as file:
        file.seek(before)
        events = [json.loads(line) for line in file if line.startswith("{")]
    parts = {
        what: statistics.median(event["ms"] / 1000 for event in events if event.get("event") == what)
        for what in ("downloaded", "loaded")
    }
    whole = statistics.median(waits)
    what = f"first call, {title}"
    return [
        _row(what, "whole", whole),
        _row(what, "download and unpack", parts["downloaded"]),
        _row(what, "worker start and load, in the model server", parts["loaded"]),
        _row(what, "rest", whole - sum(parts.values())),
    ]


async def _first_calls(local: Local, name: str, sample: dict[str, Any], count: int) -> list[float]:
    async with new_session() as session:
        routes = [endpoint_route(local, session, name, model(number), sample) for number in range(count)]
        return [(await route.seconds(1))[0] for route in routes]


def deploy_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """``cdk bootstrap`` and ``cdk deploy`` of the stack for CPUs from nothing, and what the deployment waits for."""
    with local_endpoint(log=folder / "deploy.txt", cwd=ROOT) as running:
        environment = os.environ | running.environment
        output = ["--output", str(folder / "cdk.out")]
        steps = {
            "cdk --version": ["--version"],
            "cdk synth": ["synth", "--quiet", *output],
            "cdk bootstrap": ["bootstrap", "--app", str(folder / "cdk.out")],
            "cdk deploy, synthesized before": [
                *("deploy", "--all", "--require-approval", "never", "--app", str(folder / "cdk.out"))
            ],
        }
        for what, arguments in steps.items():
            started, busy = time.perf_counter(), _cpu_seconds(running.process.pid)
            subprocess.run(["cdk", *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)  # noqa: S603, S607
            yield _row(what, "whole", time.perf_counter() - started)
            yield _row(what, "processor time of mme-local", _cpu_seconds(running.process.pid) - busy)


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _row(what: str, part: str, seconds: float) -> dict[str, Any]:
    return {"what": what, "part": part, "milliseconds": round(1000 * seconds)}
