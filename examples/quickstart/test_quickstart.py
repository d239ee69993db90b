"""The app's template, and what its model answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_the_model_answers(call: Callable[..., bytes], outputs: dict[str, str]) -> None:
    assert json.loads(call(outputs["ChurnModel"], "3,95.5,5")) == [pytest.approx(0.965, abs=0.001)]
