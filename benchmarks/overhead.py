"""What the local endpoint adds to its model servers: latency, throughput, processor time.

Rounds through ``mme serve`` alternate with rounds straight to the very same server process, with the same HTTP client.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.calls import Route
from benchmarks.namespace import Namespace
from benchmarks.serving import BUCKET, Local, listening, model, pack, serve
from mme_local.platform.model import InstanceModel

MODELS = Path(__file__).parents[1] / "stacks" / "models"
SERVERS = {
    "Multi Model Server": ("java", "customer-churn"),
    "Triton": ("tritonserver", "iris"),
}
"""For each server its program and the sample that it serves."""

ROUNDS = 12
CALLERS = 8
WARM_UP = 500

Comparison = Callable[[Route, Route, dict[str, int]], Awaitable[dict[str, Any]]]
"""What is measured of a model's two routes, direct and through the endpoint, and of the processes that take part."""


def waits(
    *, servers: Iterable[str] = SERVERS, rounds: int = ROUNDS, calls: int = 150, warm_up: int = WARM_UP
) -> list[dict[str, Any]]:
    """What one caller waits, in milliseconds."""

    async def measure(direct: Route, through: Route, _processes: dict[str, int]) -> dict[str, Any]:
        plain: list[float] = []
        ours: list[float] = []
        for _ in range(rounds):
            plain += await direct.seconds(calls)
            ours += await through.seconds(calls)
        row: dict[str, Any] = {}
        for number in (50, 99):
            before, after = percentile(plain, number), percentile(ours, number)
            row |= {f"p{number} direct": before, f"p{number} through": after, f"p{number} added": after - before}
        return row

    return compare(servers, measure, warm_up)


def throughput(
    *, servers: Iterable[str] = SERVERS, rounds: int = ROUNDS, seconds: float = 1.0, warm_up: int = WARM_UP
) -> list[dict[str, Any]]:
    """How many calls of several callers get through, and the processor time that these take of whom."""

    async def measure(direct: Route, through: Route, processes: dict[str, int]) -> dict[str, Any]:
        plain: list[float] = []
        ours: list[float] = []
        busy = dict.fromkeys(processes, 0.0)
        for _ in range(rounds):
            plain.append(await direct.rate(CALLERS, seconds))
            before = {who: cpu_seconds(pid, whole=who == "model server") for who, pid in processes.items()}
            ours.append(await through.rate(CALLERS, seconds))
            for who, pid in processes.items():
                busy[who] += cpu_seconds(pid, whole=who == "model server") - before[who]
        calls = sum(ours) * seconds
        # the best rounds: whatever else the machine does can only slow the others down
        return {
            "calls/s direct": max(plain),
            "calls/s through": max(ours),
            "share": f"{max(ours) / max(plain):.0%}",
            **{f"CPU ms a call: {who}": 1000 * taken / calls for who, taken in busy.items()},
        }

    return compare(servers, measure, warm_up)


def compare(servers: Iterable[str], measure: Comparison, warm_up: int) -> list[dict[str, Any]]:
    """Measure a model of each server both ways."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder, "log.txt")) as local:
        return [
            {"server": server, **asyncio.run(compare_model(local, *SERVERS[server], measure, warm_up))}
            for server in servers
        ]


async def compare_model(
    local: Local, program: str, sample_name: str, measure: Comparison, warm_up: int
) -> dict[str, Any]:
    """Measure one model both ways."""
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
                raise RuntimeError(f"{program} answers differently through the endpoint")
            for route in (direct, through):
                await route.seconds(warm_up)
            processes = {"client": os.getpid(), "mme-local": local.process.pid, "model server": pid}
            return await measure(direct, through, processes)


def cpu_seconds(pid: int, *, whole: bool) -> float:
    """The processor time that a process has taken so far, or that it has taken with its descendants."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *(process.children(recursive=True) if whole else ()))]
    return float(sum(time.user + time.system for time in times))


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
