"""``mme size --measure``: what models take of the server that an image has."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from mme_local.hosting.spec import ContainerSpec
from mme_local.platform.artifacts import ArtifactError, unpack
from mme_local.platform.utilization import processes_of
from mme_local.servers.base import ContainerServer, ServerError
from mme_local.servers.choice import server_for
from multi_model_endpoint.artifacts import InvalidModelError, packed
from multi_model_endpoint.artifacts.members import MAX_BYTES, MAX_MEMBERS
from multi_model_endpoint.sizing.measuring import Measured, NotMeasuredError
from multi_model_endpoint.traffic import Payload

_START_SECONDS = 240.0
_CALLS = 20
_CPU_SECONDS = 0.5  # the system counts in hundredths


def measure(image: str, sources: Sequence[Path], payloads: Sequence[Payload | None]) -> list[Measured]:
    """Load models one after the other, and call each.

    Args:
        image: The image whose server it is.
        sources: Directories or archives.
        payloads: What each is called with; without one it is not.

    Raises:
        NotMeasuredError: If the server does not start, load one, or answer.
    """
    try:
        return asyncio.run(_measure(image, sources, payloads))
    except (ServerError, ArtifactError, InvalidModelError, TimeoutError) as error:
        raise NotMeasuredError(str(error) or "a model did not answer in time") from error


async def _measure(image: str, sources: Sequence[Path], payloads: Sequence[Payload | None]) -> list[Measured]:
    measured = []
    with tempfile.TemporaryDirectory(prefix="mme-measure-") as temporary:
        folder = Path(temporary)
        await asyncio.to_thread((folder / "server").mkdir)
        async with _running(image, folder / "server") as server:
            # the first load warms the server up, and does not count
            await asyncio.to_thread(_unpack, sources[0], folder / "models" / "first")
            await server.load("first", "first", folder / "models" / "first")
            await server.unload("first")
            for number, (source, payload) in enumerate(zip(sources, payloads, strict=True)):
                directory = folder / "models" / str(number)
                await asyncio.to_thread(_unpack, source, directory)
                measured.append(await _model(server, folder / "server", directory, source, payload))
            for number, each in enumerate(measured):
                started = time.monotonic()
                await server.unload(f"model-{number}")
                measured[number] = replace(each, unload_seconds=time.monotonic() - started)
    return measured


@contextlib.asynccontextmanager
async def _running(image: str, folder: Path) -> AsyncIterator[ContainerServer]:
    server = server_for(ContainerSpec(image, True), folder)
    try:
        await server.start(_START_SECONDS)
        yield server
    finally:
        await server.stop()


def _unpack(source: Path, directory: Path) -> None:
    directory.mkdir(parents=True)
    with packed(source) as artifact:
        unpack(artifact.path, directory, max_members=MAX_MEMBERS, max_bytes=MAX_BYTES, stop=threading.Event())


async def _model(
    server: ContainerServer, folder: Path, directory: Path, source: Path, payload: Payload | None
) -> Measured:
    name = f"model-{directory.name}"
    memory = _memory(folder)
    started = time.monotonic()
    await server.load(name, name, directory)
    load_seconds = time.monotonic() - started
    cpu_seconds = None
    if payload is not None:
        await _call(server, name, source, payload)  # the first one may take more than all others
        cpu_seconds = await _cpu_seconds(server, folder, name, source, payload)
    return Measured(max(1, _memory(folder) - memory), load_seconds, 0.0, cpu_seconds)


async def _cpu_seconds(
    server: ContainerServer, folder: Path, name: str, source: Path, payload: Payload
) -> float | None:
    before, calls = _cpu(folder), 0
    while True:
        for _ in range(_CALLS):
            await _call(server, name, source, payload)
        calls += _CALLS
        spent = _cpu(folder) - before
        if spent >= _CPU_SECONDS or calls >= 50 * _CALLS:
            return spent / calls or None


async def _call(server: ContainerServer, name: str, source: Path, payload: Payload) -> None:
    headers = {} if payload.content_type is None else {"content-type": payload.content_type}
    answer = await server.invoke(name, name, payload.body, headers)
    if answer.status != 200:
        said = answer.body[:300].decode(errors="replace")
        raise NotMeasuredError(f"model '{source}' must answer the payload, got {answer.status}: {said}")


def _memory(folder: Path) -> int:
    """Bytes of all processes, of what they share the part of each, where the system says so."""
    total = 0
    for process in processes_of([folder])[folder]:
        with contextlib.suppress(psutil.Error):
            full = process.memory_full_info()
            total += getattr(full, "pss", full.rss)
    return total


def _cpu(folder: Path) -> float:
    total = 0.0
    for process in processes_of([folder])[folder]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
