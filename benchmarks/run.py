"""What the local endpoint adds to its model servers: latency, throughput, memory.

Everything in one run on one machine, so that only ratios and differences count: rounds through ``mme serve``
alternate with rounds straight to the very same server process, with the same HTTP client.

Usage: ``python -m benchmarks.run`` (Linux); it prints the results and writes them beside this file.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from tabulate import tabulate

from benchmarks.calls import Route
from benchmarks.namespace import Namespace
from benchmarks.serving import BUCKET, Local, listening, model, pack, serve
from mme_local.platform.model import InstanceModel

MODELS = Path(__file__).parents[1] / "stacks" / "models"
RESULTS = Path(__file__).with_name("RESULTS.md")
SERVERS = {
    "Multi Model Server": ("java", "customer-churn"),
    "Triton": ("tritonserver", "iris"),
}
"""For each server its program and the sample that it serves."""

ROUNDS, CALLS = 12, 150
CALLERS, RATE_ROUNDS, RATE_SECONDS = 8, 12, 1.0
WARM_UP = 500
SIZES = (10, 100, 1000)
COLD_CALLS = 3


def main() -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder, "log.txt")) as local:
        report = asyncio.run(measure(local))
    print(report)
    RESULTS.write_text(report + "\n", encoding="utf-8")


async def measure(local: Local) -> str:
    """Measure everything, and return the report."""
    at_start = local.megabytes
    compared = [await compare(local, title, *server) for title, server in SERVERS.items()]
    after_calls = local.megabytes
    grown = await grow(local)
    memory = [
        {"moment": "started", "MB": at_start},
        {"moment": "after the calls above", "MB": after_calls},
        {"moment": f"with {SIZES[-1]:,} models in its S3", "MB": local.megabytes},
    ]
    return "\n\n".join(
        (
            "# Benchmark",
            f"One run of `make bench`: {os.cpu_count()} cores, shared by the client, `mme-local` and the model servers;"
            f" {platform.system()} {platform.machine()}, Python {platform.python_version()}.",
            "## What a caller waits, straight to the model server and through the local endpoint",
            "Milliseconds of warm calls; one caller, one instance.",
            table([waits for waits, _ in compared]),
            "## Calls a second, the same two ways",
            f"{CALLERS} callers, one instance, the best of {RATE_ROUNDS} rounds. Client, `mme-local` and model server"
            " have only these cores: once all are busy, the share is what is left for the model server, so it rises"
            " with the work of the model and with the cores.",
            table([calls for _, calls in compared]),
            "## Models under one prefix",
            f"XGBoost, milliseconds: the first call of a model (median of {COLD_CALLS}) and the later ones, through the"
            " endpoint.",
            table(grown),
            "## Memory of the `mme-local` process itself",
            table(memory),
        )
    )


async def compare(local: Local, title: str, program: str, sample_name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Call one model both ways, in turns; return what callers wait, and how many calls get through."""
    sample = find_sample(sample_name)
    prefix = f"{sample_name}/"
    local.upload(prefix, pack(MODELS / sample["server"] / sample_name), 0, 1)
    with local.endpoint(sample_name, program, prefix) as pid, closing(Namespace(pid)) as network:
        where = listening(pid)
        straight = (
            aiohttp.UnixConnector(where, limit=0)
            if isinstance(where, str)
            else aiohttp.TCPConnector(limit=0, socket_factory=network.open_socket)
        )
        async with new_session() as session, new_session(straight) as server_session:
            through = endpoint_route(local, session, sample_name, model(0), sample)
            # the server knows models by the platform's name for the artifact
            name = InstanceModel(f"s3://{BUCKET}/{prefix}{model(0)}", model(0)).name
            url = f"http://127.0.0.1:{where if isinstance(where, int) else 80}/models/{name}/invoke"
            direct = Route(server_session, url, through.headers, through.body)
            if await through.call() != await direct.call():
                raise RuntimeError(f"{title} answers differently through the endpoint")
            for route in (direct, through):
                await route.seconds(WARM_UP)
            waits = await compare_waits(direct, through)
            rates = await compare_rates(direct, through, {"mme-local": local.process.pid, "model server": pid})
    return {"server": title, **waits}, {"server": title, **rates}


async def compare_waits(direct: Route, through: Route) -> dict[str, Any]:
    """What one caller waits."""
    plain: list[float] = []
    ours: list[float] = []
    for _ in range(ROUNDS):
        plain += await direct.seconds(CALLS)
        ours += await through.seconds(CALLS)
    row: dict[str, Any] = {}
    for number in (50, 99):
        before, after = percentile(plain, number), percentile(ours, number)
        row |= {f"p{number} direct": before, f"p{number} through": after, f"p{number} added": after - before}
    return row


async def compare_rates(direct: Route, through: Route, servers: dict[str, int]) -> dict[str, Any]:
    """How many calls of several callers get through, and the processor time that these take of whom."""
    processes = {"client": os.getpid(), **servers}
    plain: list[float] = []
    ours: list[float] = []
    busy = dict.fromkeys(processes, 0.0)
    for _ in range(RATE_ROUNDS):
        plain.append(await direct.rate(CALLERS, RATE_SECONDS))
        before = {who: cpu_seconds(pid, whole=who == "model server") for who, pid in processes.items()}
        ours.append(await through.rate(CALLERS, RATE_SECONDS))
        for who, pid in processes.items():
            busy[who] += cpu_seconds(pid, whole=who == "model server") - before[who]
    calls = sum(ours) * RATE_SECONDS
    # the best rounds: whatever else the machine does can only slow the others down
    return {
        "calls/s direct": max(plain),
        "calls/s through": max(ours),
        "share": f"{max(ours) / max(plain):.0%}",
        **{f"CPU ms a call: {who}": 1000 * seconds / calls for who, seconds in busy.items()},
    }


def cpu_seconds(pid: int, *, whole: bool) -> float:
    """The processor time that a process has taken so far, or that it has taken with its descendants."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *(process.children(recursive=True) if whole else ()))]
    return float(sum(time.user + time.system for time in times))


async def grow(local: Local) -> list[dict[str, Any]]:
    """Call some models of more and more under one prefix."""
    sample_name = "house-price"
    sample = find_sample(sample_name)
    archive = pack(MODELS / sample["server"] / sample_name)
    rows = []
    uploaded = 0
    for size in SIZES:
        await asyncio.to_thread(local.upload, "many/", archive, uploaded, size)
        uploaded = size
        name = f"of-{size}"
        with local.endpoint(name, "java", "many/"):
            async with new_session() as session:
                cold = []
                for number in range(size - COLD_CALLS, size):
                    route = endpoint_route(local, session, name, model(number), sample)
                    cold += await route.seconds(1)
                await route.seconds(WARM_UP)
                warm = await route.seconds(2 * CALLS)
        rows.append(
            {"models": size, "first call": 1000 * statistics.median(cold), "later calls, p50": percentile(warm, 50)}
        )
    return rows


def find_sample(name: str) -> dict[str, Any]:
    """A sample model with a request for it."""
    samples: list[dict[str, Any]] = json.loads((MODELS / "samples.json").read_text(encoding="utf-8"))
    return next(sample for sample in samples if sample["model"] == name)


def new_session(connector: aiohttp.BaseConnector | None = None) -> aiohttp.ClientSession:
    """A session that keeps its connections; the same for both ways."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0) if connector is None else connector)


def endpoint_route(
    local: Local, session: aiohttp.ClientSession, endpoint: str, target_model: str, sample: dict[str, Any]
) -> Route:
    """InvokeEndpoint as any AWS SDK would send it, the signature apart."""
    key = local.running.environment["AWS_ACCESS_KEY_ID"]
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/sagemaker/aws4_request",
        "Content-Type": sample["content_type"],
        "Accept": sample.get("accept", "*/*"),
        "X-Amzn-SageMaker-Target-Model": target_model,
    }
    return Route(session, f"{local.running.url}/endpoints/{endpoint}/invocations", headers, sample["body"].encode())


def percentile(seconds: list[float], number: int) -> float:
    """A percentile in milliseconds."""
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[number - 1]


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    cells = [[shown(value) for value in row.values()] for row in rows]
    alignment = ["left", *["right"] * (len(rows[0]) - 1)]
    return tabulate(cells, list(rows[0]), tablefmt="github", disable_numparse=True, colalign=alignment)


def shown(value: Any) -> str:
    """A cell of the table."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"\n{time.monotonic() - started:.0f} seconds")
