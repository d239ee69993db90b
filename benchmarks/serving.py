"""A running ``mme serve`` with endpoints on it, and the model servers behind it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mme_local.testing import LocalEndpoint, local_endpoint

BUCKET = "benchmark"
IMAGES = {
    "java": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0",
    "tritonserver": "763104351884.dkr.ecr.us-east-1.amazonaws.com/sagemaker-tritonserver:24.09-py3",
}
"""The image for each model server, which is known by the name of its program."""


@dataclass(frozen=True)
class Local:
    """The running process."""

    process: psutil.Process
    running: LocalEndpoint

    def client(self, service: str) -> Any:
        """A boto3 client of it."""
        return self.running.client(service, max_pool_connections=8)

    def upload(self, prefix: str, archive: bytes, first: int, last: int) -> None:
        """Put copies of an archive under a prefix: ``model-<first>.tar.gz`` and so on, ``last`` not included."""
        s3 = self.client("s3")

        def put(number: int) -> None:
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}{model(number)}", Body=archive)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(first, last)))

    @contextmanager
    def endpoint(self, name: str, program: str, prefix: str) -> Iterator[int]:
        """An endpoint of one instance over a prefix; yields its model server's process id."""
        sagemaker = self.client("sagemaker")
        before = {process.pid for process in self._servers(program)}
        container = {"Image": IMAGES[program], "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/{prefix}"}
        role = "arn:aws:iam::000000000000:role/Benchmark"
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, Containers=[container])
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        often = {"Delay": 0.2, "MaxAttempts": 300}
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=often)
        (server,) = (process for process in self._servers(program) if process.pid not in before)
        yield server.pid
        sagemaker.delete_endpoint(EndpointName=name)
        sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=often)

    def _servers(self, program: str) -> list[psutil.Process]:
        return [process for process in self.process.children(recursive=True) if process.name() == program]


@contextmanager
def serve(log: Path) -> Iterator[Local]:
    """Run ``mme serve``."""
    with local_endpoint(log=log) as running:
        local = Local(psutil.Process(running.process.pid), running)
        local.client("s3").create_bucket(Bucket=BUCKET)
        yield local


def model(number: int) -> str:
    """The target model of that number."""
    return f"model-{number}.tar.gz"


def pack(directory: Path) -> bytes:
    """A model archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(directory, ".", filter=lambda entry: None if "__pycache__" in entry.name else entry)
    return buffer.getvalue()


def listening(pid: int) -> int | str:
    """The TCP port on which a process listens, in whatever network namespace it is, or the path of its unix socket."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                return int(fields[1].rpartition(":")[2], 16)
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        _, _, _, flags, _, _, inode, *path = line.split()
        if flags == "00010000" and f"socket:[{inode}]" in inodes and path:
            return path[0]
    raise LookupError(f"process {pid} does not listen")
