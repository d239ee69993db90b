"""Checkov on both stacks: each finding is fixed, or skipped in the resource's metadata with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import STACKS, template

Finding = tuple[str, str]


@pytest.fixture(scope="module")
def checkov(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkov, in an environment of its own: it wants an old boto3."""
    folder = tmp_path_factory.mktemp("checkov") / "environment"
    requirements = str(Path(__file__).with_name("checkov.txt"))
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--no-deps", "--python", str(folder), "--requirements", requirements],
    ):
        subprocess.run([sys.executable, "-m", "uv", *command], check=True, timeout=300)
    return folder / "bin" / "checkov"


@pytest.fixture(scope="module")
def failed(checkov: Path, assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Finding]]:
    """What fails of each template as it is, and of each without its skips."""
    folder = tmp_path_factory.mktemp("templates")
    for stack in STACKS:
        bare = template(assembly, stack)
        (folder / f"{stack}.json").write_text(json.dumps(bare))
        for resource in bare["Resources"].values():
            resource.get("Metadata", {}).pop("checkov", None)
        (folder / f"{stack}-bare.json").write_text(json.dumps(bare))
    options = ["--framework", "cloudformation", "--skip-download", "--compact", "--output", "json"]
    command = [str(checkov), *options, "--directory", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    report: dict[str, Any] = json.loads(result.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 0
    found: dict[str, set[Finding]] = {path.name: set() for path in folder.iterdir()}
    for check in report["results"]["failed_checks"]:
        found[Path(check["file_path"]).name].add((check["resource"].partition(".")[2], check["check_id"]))
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_fails_that_is_not_skipped(failed: dict[str, set[Finding]], stack: str) -> None:
    assert failed[f"{stack}.json"] == set()


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_skipped_that_does_not_fail(failed: dict[str, set[Finding]], assembly: Path, stack: str) -> None:
    skipped = {
        (logical_id, skip["id"])
        for logical_id, resource in template(assembly, stack)["Resources"].items()
        for skip in resource.get("Metadata", {}).get("checkov", {"skip": []})["skip"]
    }
    assert skipped == failed[f"{stack}-bare.json"]
