"""The whole templates of the examples, each synthesized as a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

FOLDER = Path(__file__).parents[2] / "examples"
APPS = {path.parent.name: path for path in FOLDER.glob("*/app.py")}
EXAMPLES = {path.stem: path for path in FOLDER.glob("*.py")} | APPS


def synthesize(example: Path, output: Path) -> Any:
    environment = {**os.environ, "CDK_OUTDIR": str(output), "CDK_VALIDATION": "false"}
    subprocess.run([sys.executable, "-W", "error", str(example)], env=environment, check=True, capture_output=True)
    (template,) = output.glob("*.template.json")
    hashes = r"\b[0-9a-f]{64}(\.zip|\.gz|\")"
    return json.loads(re.sub(hashes, r"ASSET\1", template.read_text()))


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_is_unchanged(name: str, tmp_path: Path, snapshot_json: SnapshotAssertion) -> None:
    assert synthesize(EXAMPLES[name], tmp_path) == snapshot_json


def test_every_example_is_in_the_table() -> None:
    listed = re.findall(r"^\| \[?`(\w+)(?:\.py|/)`", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert listed == sorted(EXAMPLES)
