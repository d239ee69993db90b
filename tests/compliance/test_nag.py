"""cdk-nag's AwsSolutions and NIST 800-53 R5 packs: each finding is fixed, or acknowledged with its reason."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import STACKS, acknowledged_for_nag

CONTEXTS = {
    "defaults": {},
    "everything given": {
        "bucket": "existing",
        "prefix": "team/models",
        "alarm_topic": "arn:aws:sns:us-west-2:123456789012:alarms",
    },
}


@pytest.fixture(scope="module", params=CONTEXTS)
def nagged(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``cdk synth`` writes with cdk-nag in the app."""
    output = tmp_path_factory.mktemp("cdk.out")
    context = [part for key, value in CONTEXTS[request.param].items() for part in ("--context", f"{key}={value}")]
    app = f"python3 {Path(__file__).with_name('nagged_app.py').relative_to(root)}"
    command = ["cdk", "synth", "--quiet", "--app", app, "--output", str(output), *context]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (output / "validation-report.json").exists(), result.stderr
    return output


def reports(nagged: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((nagged / "validation-report.json").read_text())["pluginReports"]
    return found


def test_nothing_is_found_that_is_not_acknowledged(nagged: Path) -> None:
    found = reports(nagged)
    assert {report["pluginName"] for report in found} == {"AwsSolutions", "NIST.800.53.R5"}
    assert [
        (violation["ruleName"], construct["constructPath"])
        for report in found
        for violation in report["violations"]
        for construct in violation["violatingConstructs"]
    ] == []
    assert {report["conclusion"] for report in found} == {"success"}


def test_nothing_is_acknowledged_that_is_not_found(nagged: Path) -> None:
    needed = {
        (violation["acknowledgedAt"], violation["acknowledgedId"])
        for report in reports(nagged)
        for violation in report["suppressedViolations"]
    }
    acknowledged = {
        (f"{stack}/{each.resource}", each.finding) for stack in STACKS for each in acknowledged_for_nag(nagged, stack)
    }
    assert acknowledged == needed


def test_neither_the_library_nor_the_stacks_need_cdk_nag(root: Path) -> None:
    assert not [
        source
        for folder in ("constructs", "stacks")
        for source in (root / folder).rglob("*.py")
        if "cdk_nag" in source.read_text()
    ]


def test_acknowledgements_leave_no_trace_where_cdk_nag_is_not_used(assembly: Path) -> None:
    assert json.loads((assembly / "validation-report.json").read_text())["pluginReports"] == []
