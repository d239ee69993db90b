"""The program that the CDK runs for docker."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mme_local.cli import export_line
from mme_local.ministack.credentials import Credentials
from mme_local.testing import LocalEndpoint

Run = Callable[..., subprocess.CompletedProcess[bytes]]

HERE = "000000000000.dkr.ecr.eu-west-1.amazonaws.com"
THERE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
REPOSITORY = "cdk-hnb659fds-container-assets"
LOGIN = ["login", "--username", "AWS", "--password-stdin"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Docker:
    """A program called docker that writes down how it was run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        program = folder / "docker"
        program.write_text(
            f'#!/bin/sh\ncd "{folder}"\nprintf "%s\\0" "$@" > arguments\ncat /proc/$$/environ > environment\n'
            "cat > input\necho said\nexit 7\n"
        )
        program.chmod(0o755)

    @property
    def was_run(self) -> bool:
        return (self._folder / "arguments").exists()

    @property
    def arguments(self) -> list[str]:
        return (self._folder / "arguments").read_text().split("\0")[:-1]

    @property
    def environment(self) -> dict[str, str]:
        lines = (self._folder / "environment").read_text().split("\0")[:-1]
        return dict(line.split("=", 1) for line in lines)

    @property
    def input(self) -> bytes:
        return (self._folder / "input").read_bytes()


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user's shell, whose Docker is elsewhere."""
    return {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "DOCKER_HOST": "ssh://user@build.example.org",
        "DOCKER_CONTEXT": "",
        "AWS_PROFILE": "mine",
        "AWS_ACCESS_KEY_ID": "AKIA1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }


@pytest.fixture
def run(environment: dict[str, str], control_plane: LocalEndpoint) -> Run:
    """Run what ``mme serve`` names."""

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [control_plane.environment["CDK_DOCKER"], *arguments]
        return subprocess.run(command, env=environment, input=b"secret\n", capture_output=True, check=False)

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        [*LOGIN, THERE],
        ["--config", "/tmp/cdkDockerConfig1", *LOGIN, THERE],
        ["push", f"{THERE}/{REPOSITORY}:1"],
        ["push", f"docker.io/{HERE}:1"],
        ["login"],
        ["inspect", "cdkasset-1"],
        ["build", "--build-arg", "A=b c", "--build-arg", "B=", "--tag", "cdkasset-1", "--platform", "linux/amd64", "."],
        ["tag", "cdkasset-1", f"{HERE}/{REPOSITORY}:1"],
        ["run", "--rm", f"{HERE}/{REPOSITORY}:1", "push", HERE],
        ["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=*/*:1"],
    ],
    ids=" ".join,
)
def test_everything_else_is_the_users_docker_with_the_same_arguments_and_environment(
    run: Run, docker: Docker, environment: dict[str, str], arguments: list[str]
) -> None:
    done = run(*arguments)
    assert docker.arguments == arguments
    assert docker.environment == environment
    assert docker.input == b"secret\n"
    assert (done.returncode, done.stdout) == (7, b"said\n")


@pytest.mark.parametrize(
    "arguments",
    [[*LOGIN, HERE], ["--config", "/tmp/cdkDockerConfig1", *LOGIN, HERE], ["push", f"{HERE}/{REPOSITORY}:1"]],
    ids=" ".join,
)
def test_nobody_logs_in_or_pushes_to_the_local_account(run: Run, docker: Docker, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not docker.was_run


def test_without_docker_it_says_what_is_missing(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    environment["PATH"] = str(tmp_path)
    done = run("build", ".")
    assert done.returncode == 1
    assert b"there is no docker command on the PATH" in done.stderr


def test_the_line_names_the_program_that_was_installed_beside_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my programs"
    folder.mkdir()
    program = folder / "mme-docker"
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["my programs/mme", "serve"])
    assert f"CDK_DOCKER={program}" in shlex.split(export_line(4566, Credentials.random()))
