"""What ``cdk synth`` writes, and what is acknowledged in it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STACKS = ["CpuMultiModelStack", "GpuTritonMultiModelStack"]


@pytest.fixture(scope="session")
def assembly(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``cdk synth`` writes."""
    output = tmp_path_factory.mktemp("cdk.out")
    command = ["cdk", "synth", "--quiet", "--output", str(output)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return output


@dataclass(frozen=True, order=True)
class Acknowledged:
    """A finding that a stack acknowledges; the resource without the stack's name."""

    resource: str
    finding: str
    reason: str


def template(assembly: Path, stack: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((assembly / f"{stack}.template.json").read_text())
    return found


def acknowledged_for_nag(assembly: Path, stack: str) -> set[Acknowledged]:
    constructs = json.loads((assembly / f"{stack}.metadata.json").read_text())
    return {
        Acknowledged(path.removeprefix(f"/{stack}/"), finding, reason)
        for path, entries in constructs.items()
        for entry in entries
        if entry["type"] == "aws:cdk:acknowledged-rules"
        for finding, reason in entry["data"].items()
    }


def acknowledged_for_checkov(assembly: Path, stack: str) -> set[Acknowledged]:
    return {
        Acknowledged(
            resource["Metadata"]["aws:cdk:path"].removeprefix(f"{stack}/").removesuffix("/Resource"),
            skip["id"],
            skip["comment"],
        )
        for resource in template(assembly, stack)["Resources"].values()
        for skip in resource.get("Metadata", {}).get("checkov", {"skip": []})["skip"]
    }
