"""The commands of docs/choose-your-instances.md, up to a second instance that comes by what ``mme load`` said."""

from __future__ import annotations

import json
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
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = os.environ | account.local.environment | {"PATH": path, "COLUMNS": "200"}
        # the CDK's own rules take half of its time; tests/compliance has them
        self._environment["CDK_VALIDATION"] = "false"

    def save(self, program: str) -> None:
        name = program.partition("\n")[0].removeprefix("# ")
        (self.folder / name).write_text(program)

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
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


class Walk:
    """The page's programs and commands, one after the other."""

    def __init__(self, account: Account, reader: Reader, eventually: Callable[..., Any]) -> None:
        self._account = account
        self._reader = reader
        self._eventually = eventually
        self.said: dict[str, str] = {}
        self.blocks: list[tuple[str, str]] = []
        self.failed: int | None = None

    @property
    def rate(self) -> str:
        (figure,) = re.findall(r"max_requests_per_second=([\d.]+)\)", self.said["mme load"])
        return str(figure)

    def paste(self, program: str) -> str:
        """A program with the arguments that the commands before have printed."""
        if "instance_type" in program:
            for name, value in re.findall(r"^    (\w+)=(.*),$", self.said["mme size"], re.M):
                program = re.sub(rf"(?<= {name}=).*(?=,)", value, program)
        elif "scale_on_invocations" in program:
            program = re.sub(r"(?<=max_requests_per_second=)[\d.]+", self.rate, program)
        self._reader.save(program)
        return program

    def run(self, block: str) -> str:
        return "".join(f"$ {command}\n{self._does(command)}" for command in re.findall(r"^\$ (.*)$", block, re.M))

    def _does(self, command: str) -> str:
        name = " ".join(command.split()[:2])
        if name.startswith("locust"):
            self.said[name] = self._loads(command)
            return "…\n"
        quick = QUICK if name == "mme load" and not WRITES else ""
        self.said[name] = self._reader.run(command + quick)
        return "…\n" if name.startswith("cdk") else self.said[name]

    def _loads(self, command: str) -> str:
        """Go on until a second instance has come."""
        load = self._reader.start(command)
        try:
            self._eventually(lambda: self._instances() == ("InService", 2), seconds=180)
        finally:
            load.send_signal(signal.SIGTERM)
            said, _ = load.communicate()
        self.failed = load.returncode  # Locust's, which is 1 if any call has failed
        return said

    def _instances(self) -> tuple[str, int]:
        described = self._account.client("sagemaker").describe_endpoint(EndpointName="scoring")
        (variant,) = described["ProductionVariants"]
        return described["EndpointStatus"], variant["CurrentInstanceCount"]


@pytest.fixture(scope="module")
def account(start_local: Callable[..., LocalEndpoint], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    local = start_local(folder / "log.txt", "--docker", "never")
    account = Account(local, local.environment["AWS_REGION"], folder / "cdk.out")
    account.bootstrap()
    local.client("s3").create_bucket(Bucket="my-models")
    yield account
    local.stop()


@pytest.fixture(scope="module")
def reader(account: Account, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("reader")
    for name in ("churn", "fraud"):
        shutil.copytree(root / "stacks" / "models" / "xgboost" / "customer-churn", folder / "models" / name)
        (folder / "payloads").mkdir(exist_ok=True)
        (folder / "payloads" / f"{name}.csv").write_text("3,95.5,5\n")
    return Reader(account, folder)


@pytest.fixture(scope="module")
def walked(account: Account, reader: Reader, root: Path, eventually: Callable[..., Any]) -> Walk:
    """What comes of the page from its first line to its last."""
    page = root / "docs" / "choose-your-instances.md"
    walk = Walk(account, reader, eventually)
    for kind, block in re.findall(r"```(python|console)\n(.*?)```", page.read_text(), re.S):
        happened = walk.paste(block) if kind == "python" else walk.run(block)
        if WRITES:
            page.write_text(page.read_text().replace(block, happened))
        walk.blocks.append((block, happened))
    return walk


def normal(text: str) -> str:
    """Without figures, which differ from machine to machine and from run to run, and the widths that they have."""
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d+)?", "0", text))


def test_its_commands_say_what_the_page_says(walked: Walk) -> None:
    # how many rates mme load tries is this machine's and the test's
    shown = [pair for pair in walked.blocks if "$ mme load" not in pair[0]]
    for block, happened in shown:
        assert normal(happened) == normal(block)


def test_the_rate_that_was_found_is_in_what_is_to_be_pasted(walked: Walk, reader: Reader) -> None:
    lines = walked.said["mme load"].splitlines()
    assert lines[-1] == f'scale_on_invocations("Load", max_requests_per_second={walked.rate})'
    assert lines[0] == "1 x ml.m5.large, 2 models: calling each once"
    assert any(re.fullmatch(rf"{walked.rate} calls a second: .*, 0 of \d+ failed: held", line) for line in lines)
    assert f"max_requests_per_second={walked.rate}" in (reader.folder / "load.html").read_text()


def test_a_second_instance_comes_by_that_rate_and_no_call_fails(walked: Walk) -> None:
    assert walked.said["python look.py"] == "Setting desired instance count to 2. Successful\n"
    assert walked.failed == 0, walked.said["locust --headless"]


def test_data_of_a_load_test(walked: Walk, reader: Reader) -> None:
    ramp = " --p99-ms 60000 --start-rps 10 --max-rps 20 --step-seconds 2 --aliases --zipf 0 --payloads payloads --json"
    # the exit status is 4 where the second instance goes meanwhile
    report = json.loads(reader.start(f"mme load scoring{ramp} 2> /dev/null").communicate()[0])
    assert (report["held_rps"], report["ended_by"]) == (20, None)
    assert report["max_requests_per_second"] == 20 / report["instances"]
    assert [step["rps"] for step in report["steps"]] == [10, 20]
    assert all(step["calls"] and not step["errors"] and not step["unanswered"] for step in report["steps"])
    assert set(report["first_calls"]) == set(report["models"]) == {"churn@prod", "fraud@prod"}


def test_a_load_test_names_the_model_that_refuses_its_payload(walked: Walk, reader: Reader) -> None:
    (reader.folder / "bad.csv").write_text("no number\n")
    load = reader.start("mme load scoring --aliases --p99-ms 60000 --payload bad.csv")
    said, _ = load.communicate()
    assert load.returncode == 1
    assert re.search("the first call of '(churn|fraud)@prod'", said)
    assert "ModelError" in said


def test_the_locustfile_of_its_page_runs_on_two_workers(walked: Walk, reader: Reader, root: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (root / "docs" / "load.md").read_text(), re.S)
    quick = program + "\nRamp.targets = Targets(p99_ms=60_000)\nRamp.max_rps = 10.0\nRamp.step_seconds = 2.0\n"
    (reader.folder / "ramp.py").write_text(quick)
    said = reader.run("locust -f ramp.py --headless --processes 2 --only-summary --csv calls")
    assert "held 10 calls a second, the highest rate to try" in said
    kinds = {line.partition(",")[0] for line in (reader.folder / "calls_stats.csv").read_text().splitlines()}
    assert {"first", "warm"} <= kinds
