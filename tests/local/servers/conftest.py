"""Model servers, started once for the tests that only read, and models made on the spot."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import ContainerServer, ServerResponse
from mme_local.servers.choice import server_for

CODE = str(Path(__file__).parent / "code")
"""A program that does nothing: the models of these tests have one of its name, which comes before it."""
MODELS = Path(__file__).parents[3] / "stacks" / "models"
SAMPLES: list[dict[str, Any]] = json.loads((MODELS / "samples.json").read_text(encoding="utf-8"))
REGISTRY = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
IMAGES = {
    "huggingface": f"{REGISTRY}/huggingface-pytorch-inference:2.6.0-transformers4.49.0-cpu-py312-ubuntu22.04",
    "pytorch": f"{REGISTRY}/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker",
    "xgboost": f"{REGISTRY}/sagemaker-xgboost:3.2-0",
    "sklearn": f"{REGISTRY}/sagemaker-scikit-learn:1.9-0-cpu-py3",
    "triton": f"{REGISTRY}/sagemaker-tritonserver:25.09-py3-cpu",
}


class Kit:
    """Sample models, models made on the spot, and looks at the machine."""

    samples = SAMPLES
    images = IMAGES

    @staticmethod
    def container(kind: str, **environment: str) -> ContainerSpec:
        if kind == "sklearn":
            environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": CODE} | environment
        return ContainerSpec(image=IMAGES[kind], multi_model=True, environment=environment)

    @staticmethod
    def sample(name: str) -> dict[str, Any]:
        return next(each for each in SAMPLES if each["model"] == name)

    @classmethod
    def directory(cls, name: str) -> Path:
        return MODELS / str(cls.sample(name)["server"]) / name

    @classmethod
    async def invoke(cls, server: ContainerServer, name: str, model: str, target: str | None = None) -> ServerResponse:
        """Send a sample's request to the model that was loaded as ``name``."""
        sample = cls.sample(model)
        headers = {"Content-Type": sample["content_type"], "Accept": sample.get("accept", "*/*")}
        return await server.invoke(name, target or f"{name}.tar.gz", sample["body"].encode(), headers)

    @staticmethod
    def triton_model(directory: Path, code: str) -> Path:
        """A Triton model that takes and gives one FP32 vector called X, with ``code`` as its model.py."""
        (directory / "1").mkdir(parents=True)
        (directory / "1" / "model.py").write_text(code)
        (directory / "config.pbtxt").write_text(
            'backend: "python"\n'
            'input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]\n'
            'output [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]\n'
            "instance_group [ { kind: KIND_CPU } ]\n"
        )
        return directory

    @staticmethod
    def sklearn_model(directory: Path, code: str) -> Path:
        directory.mkdir(parents=True)
        (directory / "inference.py").write_text(code)
        return directory

    @staticmethod
    def wait_until(condition: Callable[[], bool], timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "gave up waiting"
            time.sleep(0.02)

    @staticmethod
    def alive(pids: list[int]) -> list[int]:
        return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]

    @staticmethod
    def descendants(pid: int | None = None) -> list[psutil.Process]:
        return psutil.Process(pid).children(recursive=True)

    @staticmethod
    def listening(processes: list[psutil.Process]) -> list[str]:
        """The addresses in this network namespace on which any of the processes listens."""
        inodes: set[str] = set()
        for process in processes:
            for entry in Path(f"/proc/{process.pid}/fd").iterdir():
                try:
                    inodes.add(os.readlink(entry))
                except FileNotFoundError:
                    continue
        addresses = []
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                    addresses.append(fields[1].partition(":")[0])
        return addresses

    @staticmethod
    def sockets(before: set[int]) -> set[Path]:
        """The unix sockets with a path on which any of our descendants listens but these."""
        inodes = {
            os.readlink(entry).removeprefix("socket:[").removesuffix("]")
            for process in Kit.descendants()
            if process.pid not in before
            for entry in Path(f"/proc/{process.pid}/fd").iterdir()
        }
        lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        listens = "00010000"
        return {Path(line[7]) for line in lines if len(line) > 7 and line[3] == listens and line[6] in inodes}

    @staticmethod
    def memory_regions(pids: list[int]) -> list[str]:
        """The prefixes under which the Triton servers among the processes name their shared memory."""
        commands = [" ".join(psutil.Process(pid).cmdline()) for pid in pids if psutil.pid_exists(pid)]
        return re.findall(
            r"shm-region-prefix-name=(\w+)", " ".join(each for each in commands if "launch.py" not in each)
        )

    @staticmethod
    def shared_memory(regions: list[str]) -> list[str]:
        return [entry for entry in os.listdir("/dev/shm") if entry.startswith(tuple(regions))] if regions else []


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


NewServer = Callable[..., ContainerServer]
SharedServer = Callable[[str], Awaitable[ContainerServer]]


@pytest.fixture(scope="session")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedServer]:
    """A server of a kind, started at its first use and stopped with the session."""
    servers: dict[str, ContainerServer] = {}

    async def get(kind: str) -> ContainerServer:
        if kind not in servers:
            servers[kind] = server_for(Kit.container(kind), tmp_path_factory.mktemp(kind))
            await servers[kind].start(60)
        return servers[kind]

    yield get
    for server in servers.values():
        await server.stop()


@pytest.fixture
async def new_server(tmp_path: Path) -> AsyncIterator[NewServer]:
    """A server of the test's own, not started; stopped at the end."""
    servers: list[ContainerServer] = []

    def make(kind: str, **environment: str) -> ContainerServer:
        servers.append(server_for(Kit.container(kind, **environment), tmp_path / f"server-{len(servers)}"))
        return servers[-1]

    yield make
    for server in servers:
        await server.stop()
