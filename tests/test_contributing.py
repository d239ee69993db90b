"""What CONTRIBUTING and the decision records name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LIBRARY = ("_endpoint/", "_images/", "_models/", "_rules/", "_variants/")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", *(f"docs/adr/000{number}-*.md" for number in range(2, 7))])
def test_files_that_are_named_are_there(root: Path, page: str) -> None:
    (found,) = root.glob(page)
    missing = []
    for path in re.findall(r"`((?:\w+/)+[\w.]*)`", found.read_text()):
        place = root / "constructs" / "cdk_multi_model_endpoint" if path.startswith(LIBRARY) else root
        if not (place / path).exists() and not any(root.glob(f"*/*/{path}")):
            missing.append(path)
    assert missing == []


def test_makes_targets_are_there(root: Path) -> None:
    named = re.findall(r"make ([a-z]+)", (root / "CONTRIBUTING.md").read_text())
    targets = re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.M)
    assert {*named} - {"a"} <= {*targets}
