"""Shared by all tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def readme_snippets(root: Path) -> dict[str, str]:
    """The README's Python blocks, by the file name in their first line."""
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    return dict(blocks)
