"""A test that waits forever: pytest-timeout ends it, and the rest of the session goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

CONFTEST = "from tests.local.conftest import anyio_backend, pytest_pyfunc_call"
TESTS = """
import asyncio

import pytest


@pytest.fixture
async def resource():
    yield
    print("closed")


@pytest.mark.timeout(0.5)
async def test_hangs(resource):
    await asyncio.Event().wait()


async def test_goes_on(resource):
    await asyncio.sleep(0)


async def test_fails(resource):
    pytest.fail("as it says")


async def test_runs_into_a_limit_of_its_own(resource):
    async with asyncio.timeout(0):
        await asyncio.Event().wait()
"""


def test_a_hanging_test_fails_alone(tmp_path: Path, root: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_hanging.py").write_text(TESTS)
    options = ["-rA", "-c", str(root / "pyproject.toml"), "-p", "no:cacheprovider"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "3 failed, 1 passed" in result.stdout, result.stdout + result.stderr
    for reason in (r"Timeout \(>0.5s\) from pytest-timeout", "Failed: as it says", r"E +TimeoutError"):
        assert re.search(reason, result.stdout), result.stdout
    assert result.stdout.count("closed") == 4
