"""The commands of docs/choose-your-instances.md, up to a second instance that comes by what ``mme load`` said."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mme_local.testing import LocalEndpoint

from .conftest import Account

# a minute is never over, and more than these calls a second nobody needs, whatever else this machine does
QUICK = " --p99-ms 60000 --start-rps 10 --max-rps 10 --step-seconds 2"
WRITES = bool(os.environ.get("MME_WRITE_TRANSCRIPTS"))


class Reader:
    """Does what the page says, in a folder of its own."""

    def __init__(self, account: Account, folder: Path) -> None:
        self._folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = os.environ | account.local.environment | {"PATH": path, "COLUMNS": "200"}

    def save(self, program: str) -> None:
        name = program.partition("\n")[0].removeprefix("# ")
        (self._folder / name).write_text(program)

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        process = self.start(command)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return said


@pytest.fixture
def account(start_local: Callable[..., LocalEndpoint], tmp_path: Path, root: Path) -> Iterator[Account]:
    local = start_local(tmp_path / "log.txt", "--docker", "never")
    account = Account(local, local.environment["AWS_REGION"], tmp_path / "cdk.out")
    account.cdk("bootstrap", cwd=root)
    local.client("s3").create_bucket(Bucket="my-models")
    yield account
    local.stop()


@pytest.fixture
def reader(account: Account, root: Path, tmp_path: Path) -> Reader:
    folder = tmp_path / "here"
    for name in ("churn", "fraud"):
        shutil.copytree(root / "stacks" / "models" / "xgboost" / "customer-churn", folder / "models" / name)
        (folder / "payloads").mkdir(exist_ok=True)
        (folder / "payloads" / f"{name}.csv").write_text("3,95.5,5\n")
    return Reader(account, folder)


def normal(text: str) -> str:
    """Without figures, which differ from machine to machine and from run to run, and the widths that they have."""
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d+)?", "0", text))


def test_from_a_folder_of_models_to_an_endpoint_that_scales(
    account: Account, reader: Reader, root: Path, eventually: Callable[..., Any]
) -> None:
    page = root / "docs" / "choose-your-instances.md"
    said: dict[str, str] = {}

    def does(command: str) -> str:
        if command.startswith("locust"):
            holds(reader.start(command))
            return "…\n"
        quick = QUICK if command.startswith("mme load") and not WRITES else ""
        said[command.split()[1]] = answer = reader.run(command + quick)
        return "…\n" if command.startswith("cdk") else answer

    def holds(load: subprocess.Popen[str]) -> None:
        try:
            eventually(lambda: instances() == ("InService", 2), seconds=180)
        finally:
            load.send_signal(signal.SIGTERM)
            summary, _ = load.communicate()
        # Locust's, which is 1 if any call has failed
        assert load.returncode == 0, summary

    def instances() -> tuple[str, int]:
        described = account.client("sagemaker").describe_endpoint(EndpointName="scoring")
        (variant,) = described["ProductionVariants"]
        return described["EndpointStatus"], variant["CurrentInstanceCount"]

    for kind, block in re.findall(r"```(python|console)\n(.*?)```", page.read_text(), re.S):
        if kind == "python":
            pasted = block
            if "scale_on_invocations" in block:
                (figure,) = re.findall(r"max_requests_per_second=([\d.]+)\)", said["load"])
                pasted = re.sub(r"(?<=max_requests_per_second=)[\d.]+", figure, block)
            elif "instance_type" in block:
                for argument in re.findall(r"^    ((?:instance_type|initial_instance_count)=.*)$", said["size"], re.M):
                    assert f"{argument}\n" in block
            reader.save(pasted)
            happened = pasted
        else:
            happened = "".join(f"$ {command}\n{does(command)}" for command in re.findall(r"^\$ (.*)$", block, re.M))
        if WRITES:
            page.write_text(page.read_text().replace(block, happened))
        elif kind == "console" and "$ mme load" not in block:
            assert normal(happened) == normal(block)
    assert said["look.py"] == "Setting desired instance count to 2. Successful\n"
