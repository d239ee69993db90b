"""The transcript of docs/promoting.md, with callers that go on all the while."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from mme_local.testing import LocalEndpoint
from multi_model_endpoint import MultiModelClient
from multi_model_endpoint.aliases import UnknownAliasError

from .conftest import serve_store

ENDPOINT, BUCKET, STORE = "scoring", "my-models", "s3://my-models/models/"
# what differs from run to run, or by the compressor's version
VARIABLE = [(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-11-25 12:00"), (r"\d+(\.\d+)? (bytes|kB)\b", "2.0 kB")]


@dataclass
class Callers:
    """Two threads that call an alias until they are told to stop."""

    client: MultiModelClient
    answers: set[tuple[str, bytes]] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(2)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._over.is_set():
            try:
                answer = self.client.invoke("churn@prod", b"3,95.5,5", content_type="text/csv")
                self.answers.add((answer.target_model, answer.body))
                self.calls += 1
            except UnknownAliasError:
                pass  # before the first push
            except Exception as error:  # what comes is the test's to judge
                self.failures.append(error)
            self._over.wait(0.05)  # the commands need a processor, too


@pytest.fixture
def local(start_local: Callable[..., LocalEndpoint], tmp_path: Path) -> Iterator[LocalEndpoint]:
    running = start_local(tmp_path / "log.txt", "--docker", "never")
    yield running
    running.stop()


@pytest.fixture
def served(local: LocalEndpoint, eventually: Callable[..., Any]) -> LocalEndpoint:
    """With an endpoint on an empty store."""
    s3 = local.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    serve_store(local, ENDPOINT, STORE, eventually)
    return local


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """Where the transcript is run: the models and the program."""
    folder = tmp_path / "here"
    sample = root / "stacks" / "models" / "xgboost" / "customer-churn"
    for name in ("models", "better"):
        shutil.copytree(sample, folder / name / "churn")
    better = folder / "better" / "churn" / "xgboost-model"
    before, after = '"base_score":"[4.0375E-1]"', '"base_score":"[2.5E-1]"'
    text = better.read_text()
    assert before in text
    better.write_text(text.replace(before, after))
    return folder


def normal(text: str) -> str:
    for pattern, replacement in VARIABLE:
        text = re.sub(pattern, replacement, text)
    return re.sub(r" +", " ", text)


def test_a_better_model_is_promoted_and_rolled_back_while_callers_go_on(
    served: LocalEndpoint, folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = root / "docs" / "promoting.md"
    text = page.read_text()
    (program,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "client.invoke" in block)
    (folder / "call.py").write_text(program)
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=os.environ | {"PATH": path, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return f"$ {command}\n{done.stdout}"

    session = boto3.session.Session()
    with Callers(MultiModelClient(ENDPOINT, models=STORE, alias_ttl=0.1, session=session)) as callers:
        blocks = re.findall(r"```console\n(.*?)```", text, re.S)
        for block in blocks:
            happened = "".join(map(run, re.findall(r"^\$ (.*)$", block, re.M)))
            if os.environ.get("MME_WRITE_TRANSCRIPTS"):
                page.write_text(page.read_text().replace(block, happened))
            else:
                assert normal(happened) == normal(block)
    assert callers.failures == []
    assert callers.calls > 0
    # each of the two models has one answer
    assert len({target for target, _ in callers.answers}) == len(callers.answers) == 2
