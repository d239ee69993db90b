"""Load tests of an endpoint that is served: by the command, and by the locustfile of docs/load.md on two workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mme_local.testing import LocalEndpoint
from multi_model_endpoint.aliases import Aliases
from multi_model_endpoint.artifacts.packing import packed
from multi_model_endpoint.store_url import StoreUrl

from .conftest import serve_store

ENDPOINT, BUCKET, STORE = "scoring", "my-models", "s3://my-models/models/"


@pytest.fixture(scope="module")
def served(
    start_local: Callable[..., LocalEndpoint],
    eventually: Callable[..., Any],
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalEndpoint]:
    folder = tmp_path_factory.mktemp("served")
    local = start_local(folder / "log.txt", "--docker", "never")
    s3 = local.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    sample = root / "stacks" / "models" / "xgboost" / "customer-churn"
    aliases = Aliases(s3, StoreUrl.parse(STORE))
    for name in ("churn", "fraud"):
        with packed(sample) as artifact:
            s3.upload_file(str(artifact.path), BUCKET, f"models/{name}.tar.gz")
        aliases.set(f"{name}@prod", f"{name}.tar.gz", replaces=None)
    serve_store(local, ENDPOINT, STORE, eventually)
    yield local
    local.stop()


@pytest.fixture
def folder(served: LocalEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with payloads, and the local endpoint's variables in the environment."""
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    Path("payloads").mkdir()
    for name in ("churn", "fraud"):
        Path("payloads", f"{name}.csv").write_text("3,95.5,5\n")
    return tmp_path


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(command)
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_finds_a_rate_that_holds(folder: Path) -> None:
    # a minute is never over, whatever else this machine does
    ramp = ["--p99-ms", "60000", "--start-rps", "10", "--max-rps", "20", "--step-seconds", "2"]
    models = ["--aliases", "--zipf", "0", "--payloads", "payloads"]
    done = run("mme", "load", ENDPOINT, *ramp, *models, "--json", "--html", "load.html")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["held_rps"], report["ended_by"], report["max_requests_per_second"]) == (20, None, 20)
    assert [step["rps"] for step in report["steps"]] == [10, 20]
    assert all(step["calls"] and not step["errors"] and not step["unanswered"] for step in report["steps"])
    assert set(report["first_calls"]) == set(report["models"]) == {"churn@prod", "fraud@prod"}
    assert "max_requests_per_second=20" in Path("load.html").read_text()
    assert done.stderr.splitlines()[0] == "1 x ml.m5.xlarge, 2 models: calling each once"
    assert all(re.match(r"\d+ calls a second: .*: held", line) for line in done.stderr.splitlines()[1:])


def test_names_the_model_that_refuses_its_payload(folder: Path) -> None:
    Path("payloads", "fraud.csv").write_text("no number\n")
    done = run("mme", "load", ENDPOINT, "--p99-ms", "60000", "--payloads", "payloads")
    assert done.returncode == 1
    assert "the first call of 'fraud.tar.gz'" in done.stderr
    assert "ModelError" in done.stderr


def test_the_locustfile_of_the_page_runs_on_two_workers(folder: Path, root: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (root / "docs" / "load.md").read_text(), re.S)
    quick = program + "\nRamp.targets = Targets(p99_ms=60_000)\nRamp.max_rps = 10.0\nRamp.step_seconds = 2.0\n"
    Path("locustfile.py").write_text(quick)
    done = run("locust", "--headless", "--processes", "2", "--only-summary", "--csv", "calls")
    assert done.returncode == 0, done.stderr
    assert "held 10 calls a second, the highest rate to try" in done.stdout
    kinds = {line.partition(",")[0] for line in Path("calls_stats.csv").read_text().splitlines()}
    assert {"first", "warm"} <= kinds
