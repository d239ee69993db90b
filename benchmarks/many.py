"""Many endpoints and models: the processor time and memory that they take, whatever else the machine does meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.overhead import MODELS, cpu_seconds, endpoint_route, find_sample, new_session
from benchmarks.serving import BUCKET, Local, model, pack, serve

MIB = 1024**2

# The last line that these print: the processor time and the bytes of memory taken
SYNTH = """
import json, sys, psutil
import aws_cdk as cdk
from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint
app = cdk.App(outdir=sys.argv[1])
stack = cdk.Stack(app, "Stack")
processes = [me := psutil.Process(), *me.children(recursive=True)]
busy = lambda: sum(sum(each.cpu_times()[:2]) for each in processes)
before = busy()
if sys.argv[2] == "models":
    ModelStore(stack, "Models").add_models(sys.argv[3])
else:
    for number in range(int(sys.argv[3])):
        MultiModelEndpoint(
            stack,
            f"Endpoint{number}",
            container=MultiModelContainer(
                image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=ModelStore(stack, f"Models{number}")
            ),
            instance_type="ml.m5.large",
        )
app.synth()
print(json.dumps([busy() - before, sum(each.memory_info().rss for each in processes)]))
"""
COMMAND = """
import json, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


def rows(
    *,
    endpoints: Iterable[int] = (15, 30, 60),
    models: Iterable[int] = (75, 150, 300),
    published: Iterable[int] = (2_500, 10_000),
) -> list[dict[str, Any]]:
    """What more and more of each takes, and how that compares with the first of the same kind."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, serve(Path(name, "log.txt")) as local:
        folder = Path(name)
        for number in endpoints:
            found.append(_row("endpoints of an app", number, *_synth(folder, "endpoints", str(number))))
        for number in models:
            found.append(
                _row("add_model in a stack", number, *_synth(folder, "models", _small_models(folder / "added", number)))
            )
        for number in published:
            found += _published(local, folder, number)
    first: dict[str, float] = {}
    for row in found:
        linear = first.setdefault(row["what"], row["per item, ms"])
        row["ratio to linear"] = row["per item, ms"] / linear if linear else None
    return sorted(found, key=lambda row: list(first).index(row["what"]))


def _published(local: Local, folder: Path, number: int) -> Iterator[dict[str, Any]]:
    """Push models to the local S3, and call one more that lies beside them."""
    server, prefix = local.process.pid, f"of-{number}/"
    push = (str(Path(sys.executable).with_name("mme")), "push", "--each")
    before = cpu_seconds(server, whole=False)
    environment = {**local.running.environment, "XDG_CACHE_HOME": str(folder / "cache")}
    client = _run(COMMAND, *push, _small_models(folder / "pushed", number), f"s3://{BUCKET}/{prefix}", **environment)
    yield _row("mme push: itself", number, *client)
    yield _row(
        "mme push: mme serve", number, cpu_seconds(server, whole=False) - before, local.process.memory_info().rss
    )

    sample = find_sample("house-price")
    local.upload(prefix, pack(MODELS / sample["server"] / sample["model"]), 0, 1)
    with local.endpoint(f"of-{number}", "java", prefix):
        before = cpu_seconds(server, whole=False)
        asyncio.run(_call(local, f"of-{number}", sample))
        taken = cpu_seconds(server, whole=False) - before
        yield _row("first call of one of them: mme serve", number, taken, local.process.memory_info().rss)


async def _call(local: Local, endpoint: str, sample: dict[str, Any]) -> None:
    async with new_session() as session:
        await endpoint_route(local, session, endpoint, model(0), sample).call()


def _small_models(folder: Path, number: int) -> str:
    models = folder / str(number)
    for index in range(number):
        (models / f"small-{index}").mkdir(parents=True)
        (models / f"small-{index}" / "weights.bin").write_text(f"{number} {index}")
    return str(models)


def _synth(folder: Path, what: str, argument: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return _run(SYNTH, str(Path(scratch, "cdk.out")), what, argument, XDG_CACHE_HOME=scratch)


def _run(program: str, *arguments: str, **environment: str) -> tuple[float, float]:
    result = subprocess.run(  # noqa: S603, this program
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env=os.environ | environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    seconds, size = json.loads(result.stdout)
    return seconds, size


def _row(what: str, number: int, seconds: float, size: float) -> dict[str, Any]:
    return {"what": what, "n": number, "CPU s": seconds, "MB": size / MIB, "per item, ms": 1000 * seconds / number}
