"""The example of a project of its own: installed somewhere else, and tested by the very commands of its workflow."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

PROJECT = Path(__file__).parent / "their_app"
ROOT = PROJECT.parents[1]


def steps() -> list[dict[str, Any]]:
    """Those of the workflow's only job."""
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "test.yml").read_text())
    (job,) = workflow["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, whose package is installed beside it."""
    project = tmp_path_factory.mktemp("their_app") / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("cdk.out", "node_modules"))
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    target = ["--disable-pip-version-check", "--target", str(project.parent / "installed"), str(project)]
    subprocess.run([sys.executable, *install, *target], check=True)
    shutil.rmtree(project / "src")
    return project


@pytest.mark.parametrize("command", [step["run"] for step in steps() if "pytest" in step.get("run", "")])
def test_its_tests_pass_as_in_its_workflow(project: Path, command: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(project.parent / "installed"),
        "NODE_PATH": str(ROOT / "node_modules"),
    }
    pytest_, *arguments = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", pytest_, *arguments], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_runs_all_of_its_tests() -> None:
    run = " ".join(step.get("run", "") for step in steps())
    assert {path.name for path in (PROJECT / "tests").glob("test_*.py")} == {
        Path(word).name for word in run.split() if word.startswith("tests/")
    }
