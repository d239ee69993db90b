"""What the toolkit says of its dependencies."""

from __future__ import annotations

from scripts.try_dependencies import run_tests


def test_the_client_works_with_the_oldest_that_the_toolkit_takes() -> None:
    assert run_tests("lowest-direct") == 0
