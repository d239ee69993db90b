"""``mme check-image`` on containers in Docker: what the checks of calls leave open, and what it leaves behind."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mme_local.checking import calls, rules, run
from mme_local.checking.models import Models
from mme_local.checking.rules import Check, Finding, Verdict
from mme_local.checking.run import ImageCheck
from mme_local.servers import process
from mme_local.servers.docker.client import Docker

from .conftest import MEMORY_MIB, Images
from .images import docker

COMMAND = str(Path(sys.executable).with_name("mme"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "name").write_text("a")
    return folder


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the command's own files are."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def check_image(temporary: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command."""

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, "check-image", *arguments],
            env={**os.environ, "TMPDIR": str(temporary), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def left(temporary: Path) -> list[str]:
    """Its files, containers and networks."""
    found = [path.name for path in temporary.iterdir()]
    for kind, everything in (("container", ["--all"]), ("network", [])):
        form = '{{.ID}} {{.Label "mme-local.owner"}}'
        lines = docker(kind, "ls", *everything, "--filter", "label=mme-local.owner", "--format", form).splitlines()
        found += [f"{kind} {line}" for line in lines if f":{temporary}/" in line]
    return found


def test_an_image_that_keeps_the_contract_passes_and_nothing_is_left(
    images: Images, check_image: Callable[..., subprocess.Popen[str]], model: Path, temporary: Path
) -> None:
    command = check_image(
        images.usual, "--model", str(model), "--env", "CAPACITY=4", "--env", "PAGE=2", "--memory", "192", "--json"
    )
    output, errors = command.communicate(timeout=500)
    findings = [json.loads(line) for line in output.splitlines()]
    problems = [finding for finding in findings if finding["verdict"] != "ok"]
    if [problem["check"] for problem in problems] != [rules.PINGS.name]:  # as on a machine that stood still
        assert (problems, command.returncode, errors) == ([], 0, "")
    assert [finding["check"] for finding in findings] == [
        value.name for value in vars(rules).values() if isinstance(value, Check)
    ]
    details = {finding["check"]: finding["detail"] for finding in findings}
    assert details[rules.LIST.name] == "3 models in 2 pages"
    assert details[rules.NO_MEMORY.name] == "to model 5"
    assert left(temporary) == []


def test_an_image_that_does_not_start_ends_with_its_output(
    images: Images, check_image: Callable[..., subprocess.Popen[str]], temporary: Path
) -> None:
    command = check_image(images.usual, "--env", "FAIL_AT_START=yes")
    output, errors = command.communicate(timeout=500)
    assert command.returncode == 1
    *_, verdict, consequence, page, summary = output.splitlines()
    assert verdict.startswith("fails       start and ping: ")
    assert "ended at start with status 1" in verdict
    assert consequence.strip() == rules.START.sagemaker
    assert page.strip() == rules.START.page
    assert summary == "5 ok, 1 fails"
    assert "no licence" in errors
    assert left(temporary) == []


def test_nothing_is_left_after_an_interrupt(
    images: Images,
    check_image: Callable[..., subprocess.Popen[str]],
    temporary: Path,
    eventually: Callable[..., Any],
) -> None:
    command = check_image(images.usual, "--env", "START_SECONDS=60")
    eventually(lambda: any(each.startswith("container ") for each in left(temporary)))
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=500)
    assert command.returncode == 128 + signal.SIGINT
    assert left(temporary) == []


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["own:1", "--env", "GREETING"], {}, "must be NAME=VALUE, got 'GREETING'"),
        (["own:1", "--model", "/nowhere"], {}, "Path '/nowhere' does not exist"),
        (["own:1"], {"DOCKER_HOST": "unix:///nowhere.sock"}, "docker version failed|no docker command"),
    ],
)
def test_what_can_not_be_checked_says_why(
    check_image: Callable[..., subprocess.Popen[str]],
    temporary: Path,
    arguments: Sequence[str],
    variables: dict[str, str],
    message: str,
) -> None:
    command = check_image(*arguments, **variables)
    output, errors = command.communicate(timeout=500)
    assert (command.returncode, output) == (2, "")
    assert re.search(message, errors)
    assert list(temporary.iterdir()) == []


def test_an_image_that_can_not_be_had_is_not_checked(
    images: Images, check_image: Callable[..., subprocess.Popen[str]]
) -> None:
    command = check_image("127.0.0.1:9/nothing:1")
    output, errors = command.communicate(timeout=500)
    assert (command.returncode, output) == (2, "")
    assert "image 127.0.0.1:9/nothing:1 could not be pulled" in errors


@pytest.fixture
def check(tmp_path: Path, model: Path) -> Iterator[Callable[..., dict[Check, Finding]]]:
    """Check an image in this process, and return what is not right."""
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def check(image: str, *, memory: int | None = None, **environment: str) -> dict[Check, Finding]:
            client = Docker(os.environ, Path(lock.name), memory=memory)
            found = client.image(image)
            assert found is not None
            models = Models(tmp_path / "models", [model])
            models.prepare(threading.Event())
            findings: list[Finding] = []
            checks = ImageCheck(image, found, client, tmp_path, findings.append)
            asyncio.run(checks.run(models, None, environment, 240))
            return {finding.check: finding for finding in findings if finding.verdict is not Verdict.OK}

        yield check


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(run, "second_start", lambda took: took)
    monkeypatch.setattr(calls, "PING_SECONDS", 60.0)
    monkeypatch.setattr(process, "_GRACE", 0.5)


def test_a_container_killed_for_its_memory_fails_instead_of_a_507(
    images: Images, check: Callable[..., dict[Check, Finding]], model: Path, impatient: None
) -> None:
    (model / "mib").write_text(str(MEMORY_MIB // 5))
    found = check(images.usual, memory=MEMORY_MIB * 1024**2, FAULTS="ignores the port")
    assert {check: finding.verdict for check, finding in found.items()} == {
        rules.NO_MEMORY: Verdict.FAILS,
        rules.ROOM: Verdict.NOT_TESTED,
        rules.TERMINATION: Verdict.NOT_TESTED,
        rules.BIND_PORT: Verdict.FAILS,
    }
    assert "did not answer POST /models: " in found[rules.NO_MEMORY].detail
    assert ", and ended with status 137: beyond its memory it is killed" in found[rules.NO_MEMORY].detail
    assert found[rules.ROOM].detail == "the container has ended"
    assert "does not listen on the port that it names, " in found[rules.BIND_PORT].detail


def test_what_sagemaker_puts_up_with_is_a_warning(
    images: Images, check: Callable[..., dict[Check, Finding]], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "USUAL_START_SECONDS", 0.0)
    found = check(images.unlabelled, STUBBORN="yes", FAULTS="ignores the port", CAPACITY="3")
    assert {check: finding.verdict for check, finding in found.items()} == {
        rules.MULTI_MODEL_LABEL: Verdict.FAILS,
        rules.PIPELINE_LABEL: Verdict.WARNS,
        rules.START: Verdict.WARNS,
        rules.NO_MEMORY: Verdict.NOT_TESTED,
        rules.ROOM: Verdict.NOT_TESTED,
        rules.TERMINATION: Verdict.WARNS,
        rules.BIND_PORT: Verdict.WARNS,
    }
    assert found[rules.TERMINATION].detail == "still runs 0.5 s after it"


def test_an_images_user_and_entry_point_are_known(images: Images, tmp_path: Path) -> None:
    client = Docker(os.environ, tmp_path / "lock")
    usual, other = client.image(images.usual), client.image(images.of_a_user)
    assert usual is not None
    assert other is not None
    assert (usual.user, other.user) == ("", "12345")
    assert usual.entry_point[-1] == "/serve.py"
