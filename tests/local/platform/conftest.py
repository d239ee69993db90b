"""A model server that obeys the contract and can be made to fail on purpose, and S3 and CloudWatch from MiniStack."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import random
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from mme_local.hosting.spec import ContainerSpec, EndpointSpec, VariantSpec
from mme_local.platform import LocalHosting, Settings
from mme_local.platform.instance import ServerFactory
from mme_local.servers.base import (
    INVOKE_SECONDS,
    LoadError,
    OutOfMemory,
    ServerBroken,
    ServerError,
    ServerResponse,
    UnsupportedImage,
)

DEADLINE = 60.0


class World:
    """What all fake servers of a test share: switches for faults, and a record of what was asked of them."""

    def __init__(self) -> None:
        self.servers: list[FakeServer] = []
        self.capacity: int | None = None
        self.one_load_at_a_time = False
        self.refused: dict[str, tuple[int, bytes]] = {}
        self.start_error: str | None = None
        self.unservable: set[str] = set()
        self.load_gates: dict[str, asyncio.Event] = {}
        self.invoke_gates: dict[str, asyncio.Event] = {}
        self.start_gate: asyncio.Event | None = None
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.abandoned: list[str] = []
        self.unloads_what_hangs = True
        self.loading = 0
        self.violations: list[str] = []
        self.invoke_507: int = 0
        self.answer: Callable[[FakeServer, str, bytes, Mapping[str, str]], ServerResponse] | None = None

    def make(self, container: ContainerSpec, work_dir: Path) -> FakeServer:
        if container.image in self.unservable:
            raise UnsupportedImage(f"no server for {container.image}")
        return FakeServer(self, container, work_dir)

    @property
    def running(self) -> list[FakeServer]:
        return [server for server in self.servers if server.state == "up"]


class FakeServer:
    """Answers with the content of the model's file and the body that it was sent."""

    def __init__(self, world: World, container: ContainerSpec, work_dir: Path) -> None:
        self.world = world
        self.container = container
        self.work_dir = work_dir
        self.state = "new"
        self.models: dict[str, tuple[str, Path]] = {}
        self.running: dict[str, int] = {}
        self.invocations = 0
        self.loading = 0
        self.cuts: dict[str, list[asyncio.Event]] = {}

    def crash(self) -> None:
        self.state = "dead"
        self.models.clear()

    def _must_be_up(self) -> None:
        if self.state != "up":
            raise ServerError("connection refused")

    async def start(self, timeout: float, files: Path | None = None) -> None:  # noqa: ASYNC109 - the interface's
        assert self.state == "new"
        self.world.servers.append(self)
        if self.world.start_gate is not None:
            await self.world.start_gate.wait()
        await asyncio.sleep(0)
        if self.world.start_error is not None:
            raise ServerError(self.world.start_error)
        self.state = "up"

    async def stop(self) -> None:
        self.state = "stopped"
        for name in list(self.cuts):
            self._cut_off(name)
        await asyncio.sleep(0)

    async def ping(self) -> bool:
        await asyncio.sleep(0)
        return self.state == "up"

    async def load(self, name: str, target_model: str, directory: Path) -> None:
        world = self.world
        self._must_be_up()
        world.loads.append(target_model)
        world.loading += 1
        self.loading += 1
        clash = world.one_load_at_a_time and self.loading > 1
        try:
            gate = world.load_gates.get(target_model)
            await (gate.wait() if gate is not None else asyncio.sleep(0))
        finally:
            world.loading -= 1
            self.loading -= 1
        self._must_be_up()
        if clash or (world.one_load_at_a_time and self.loading > 0):
            raise OutOfMemory(507, b"no memory for two loads at once")
        if target_model in world.refused:
            status, body = world.refused[target_model]
            raise (OutOfMemory if status == 507 else LoadError)(status, body)
        if name in self.models:
            world.violations.append(f"{target_model} loaded twice")
            raise LoadError(409, b"already loaded")
        if world.capacity is not None and len(self.models) >= world.capacity:
            raise OutOfMemory(507, b"no memory")
        if not directory.is_dir():  # noqa: ASYNC240
            world.violations.append(f"{target_model} has no files")
            raise LoadError(500, b"no files")
        self.models[name] = (target_model, directory)

    async def unload(self, name: str) -> None:
        self._must_be_up()
        if name in self.models:
            self.world.unloads.append(self.models[name][0])
            if self.running.get(name):
                self.world.violations.append(f"{self.models[name][0]} unloaded while in use")
        await asyncio.sleep(0)
        self.models.pop(name, None)

    async def abandon(self, name: str) -> None:
        self._must_be_up()
        if not self.world.unloads_what_hangs:
            raise ServerBroken(f"{name} hangs")
        if name in self.models:  # a load that hangs is abandoned, too
            self.world.abandoned.append(self.models[name][0])
        self._cut_off(name)
        await asyncio.sleep(0)
        self.models.pop(name, None)

    def _cut_off(self, name: str) -> None:
        for cut in self.cuts.pop(name, []):
            cut.set()
            self.world.invoke_gates.clear()  # what hung is gone with its process

    async def _wait_for(self, gate: asyncio.Event, name: str) -> None:
        """Wait for a gate, as long as the connection is there."""
        cut = asyncio.Event()
        self.cuts.setdefault(name, []).append(cut)
        waits = [asyncio.ensure_future(event.wait()) for event in (gate, cut)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if cut.is_set():
            raise ServerError("the server closed the connection")

    async def invoke(
        self, name: str, target_model: str, body: bytes, headers: Mapping[str, str], seconds: float = INVOKE_SECONDS
    ) -> ServerResponse:
        async with asyncio.timeout(seconds):
            return await self._answer(name, target_model, body, headers)

    async def _answer(self, name: str, target_model: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        world = self.world
        self._must_be_up()
        self.invocations += 1
        if name not in self.models:
            world.violations.append(f"{target_model} invoked without being loaded")
            return ServerResponse(404, {}, b"not loaded")
        self.running[name] = self.running.get(name, 0) + 1
        try:
            if world.answer is not None:
                return world.answer(self, target_model, body, headers)
            gate = world.invoke_gates.get(target_model)
            await (self._wait_for(gate, name) if gate is not None else asyncio.sleep(0))
            self._must_be_up()
            if world.invoke_507:
                world.invoke_507 -= 1
                return ServerResponse(507, {}, b"GPU full")
            directory = self.models[name][1]
            if not directory.is_dir():
                world.violations.append(f"the files of {target_model} were deleted while it was in use")
            content = next(directory.iterdir()).read_bytes()
            return ServerResponse(200, {"Content-Type": "text/plain"}, content + b"|" + body)
        finally:
            self.running[name] -= 1


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    assert world.violations == []


def pack(files: Mapping[str, bytes]) -> bytes:
    """A model archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(name="pack")
def pack_fixture() -> Pack:
    return pack


async def until(condition: Callable[[], object]) -> None:
    """Let others run until a condition holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.001)


def assert_all_over(before: set[asyncio.Task[Any]]) -> None:
    """No task is left that was not there before, but the one that runs the end of the calling fixture."""
    assert len(asyncio.all_tasks() - before) == 1, asyncio.all_tasks() - before


@pytest.fixture(name="until")
def until_fixture() -> Until:
    return until


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MiniStack: its address."""
    with socket.socket() as probe:
        # below those that the kernel gives to whoever asks for a free one meanwhile
        probe.bind(("127.0.0.1", random.randint(20000, 30000)))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("ministack") / "log"
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
            cwd=log.parent,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(url + "/_ministack/health", timeout=2).close()
                break
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(60)


class Bucket:
    """A bucket of the local S3."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._s3 = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="1", aws_secret_access_key="1"
        )
        self._s3.create_bucket(Bucket=name)

    def put(self, key: str, content: bytes) -> None:
        self._s3.put_object(Bucket=self.name, Key=key, Body=content)

    def put_model(self, key: str, content: bytes) -> None:
        self.put(key, pack({"model": content}))

    @property
    def url(self) -> str:
        return f"s3://{self.name}/models/"


_numbers = itertools.count()


@pytest.fixture
def bucket(ministack: str) -> Bucket:
    return Bucket(ministack, f"models-{next(_numbers)}")


class Endpoints:
    """A hosting on fake servers, and specs for it."""

    def __init__(self, hosting: LocalHosting, bucket: Bucket) -> None:
        self.hosting = hosting
        self.bucket = bucket

    def container(self, image: str = "mms", **values: Any) -> ContainerSpec:
        return ContainerSpec(image=image, **{"multi_model": True, "model_data_url": self.bucket.url, **values})

    def variant(self, name: str = "AllTraffic", *containers: ContainerSpec, **values: Any) -> VariantSpec:
        known = {"instance_type": "ml.m5.xlarge", "instance_count": 1, "weight": 1.0, **values}
        return VariantSpec(name=name, containers=containers or (self.container(),), **known)

    def spec(self, *variants: VariantSpec, name: str = "demo", config: str = "config-1") -> EndpointSpec:
        return EndpointSpec(name, config, variants or (self.variant(),))

    async def invoke(
        self, target: str | None = "a.tar.gz", body: bytes = b"x", *, name: str = "demo", **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if target is not None:
            sent["x-amzn-sagemaker-target-model"] = target
        return await self.hosting.invoke(name, sent, body)


Hosted = Callable[..., Endpoints]
Until = Callable[[Callable[[], object]], Awaitable[None]]
Pack = Callable[[Mapping[str, bytes]], bytes]


@pytest.fixture
async def hosted(ministack: str, bucket: Bucket, world: World, tmp_path: Path) -> AsyncIterator[Hosted]:
    """Make a hosting, which is closed after the test; keywords go to it."""
    hostings: list[LocalHosting] = []

    def host(
        server_factory: ServerFactory | None = world.make,
        settings: Settings = Settings(publish_interval=3600),  # noqa: B008 - frozen
        **options: Any,
    ) -> Endpoints:
        hosting = LocalHosting(ministack, tmp_path / "run", server_factory=server_factory, settings=settings, **options)
        hostings.append(hosting)
        return Endpoints(hosting, bucket)

    yield host
    for hosting in hostings:
        await hosting.close()
    assert not world.running
    assert list((tmp_path / "run").rglob("*")) == []


@pytest.fixture
async def at(hosted: Hosted) -> Endpoints:
    return hosted()
