"""Locust's user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def streamed(*arguments: str) -> tuple[int, int, float]:
    """How many calls one user has made, how many of them before the first answer, and the longest latency."""
    program = [sys.executable, str(Path(__file__).with_name("streaming.py")), *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    calls, first, slowest = done.stdout.split()
    return int(calls), int(first), float(slowest)


def test_does_not_wait_for_answers_and_counts_all_before_the_first_as_first_calls() -> None:
    calls, first, _ = streamed("3600", "5", "1000")
    assert calls == first >= 5


def test_counts_from_when_a_call_was_to_be_made() -> None:
    # one at a time: the fifth is due after a tenth of a second, and begun after four
    calls, first, slowest = streamed("0.2", "5", "1")
    assert slowest > 400
    assert first < calls
