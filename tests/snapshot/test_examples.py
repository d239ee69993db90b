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

EXAMPLES = Path(__file__).parents[2] / "examples"


def synthesize(example: Path, output: Path) -> Any:
    environment = {**os.environ, "CDK_OUTDIR": str(output)}
    subprocess.run([sys.executable, "-W", "error", str(example)], env=environment, check=True, capture_output=True)
    (template,) = output.glob("*.template.json")
    return json.loads(re.sub(r"\b[0-9a-f]{64}\.(zip|gz)", r"ASSET.\1", template.read_text()))


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_example_is_unchanged(name: str, tmp_path: Path, snapshot_json: SnapshotAssertion) -> None:
    assert synthesize(EXAMPLES / f"{name}.py", tmp_path) == snapshot_json


def test_every_example_is_in_the_table() -> None:
    listed = re.findall(r"^\| `(\w+)\.py` \|", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert listed == sorted(path.stem for path in EXAMPLES.glob("*.py"))
