"""Shared by all tests: the repository, the README's snippets, and really served local endpoints."""

from __future__ import annotations

import itertools
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROOT = Path(__file__).parent.parent
START_SECONDS = 15
STOP_SECONDS = 25

# behind a shell's & what the tests start would ignore it, too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _day() -> Iterator[None]:
    """One day for all tests, or they would warn of old images some time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdk_multi_model_endpoint._rules.warnings.today", lambda: date(2026, 11, 24))
        yield


@dataclass
class LocalEndpoint:
    """A running ``mme serve`` with what its first line said."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    log: Path

    @property
    def url(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, service: str, *, region: str | None = None, **options: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=region or self.environment["AWS_REGION"],
            config=Config(retries={"total_max_attempts": 1}, **options),
        )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(STOP_SECONDS)


def start(log: Path, *options: str, **settings: Any) -> LocalEndpoint:
    command = [str(Path(sys.executable).with_name("mme")), "serve", "--port", "0", "--exit-with-parent", *options]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, **settings)
    assert process.stdout is not None
    with process.stdout as output:
        line = output.readline()
    assert line.startswith("export "), f"{line!r}: {log.read_text()}"
    environment = dict(assignment.split("=", 1) for assignment in shlex.split(line)[1:])
    return LocalEndpoint(process, environment, log)


@pytest.fixture(scope="session")
def start_local() -> Callable[..., LocalEndpoint]:
    """Start another one; the caller stops it."""
    return start


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEndpoint]:
    """One without model servers, shared by all tests: each uses names of its own."""
    endpoint = start(tmp_path_factory.mktemp("control-plane") / "log.txt", "--no-servers")
    yield endpoint
    endpoint.stop()


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Call until the answer is true, and return it."""

    def wait(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} seconds: {condition}"
            time.sleep(0.02)
        return answer

    return wait


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def readme_snippets(root: Path) -> dict[str, str]:
    """The README's Python blocks, by the file name in their first line."""
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    return dict(blocks)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's directory."""
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\x00\x01\x02")
    (folder / "code" / "inference.py").write_text("print('hello')\n")
    return folder


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Names that no other test uses."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}{next(numbers)}"
