"""The app's template, and what comes out of both containers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_a_customer_goes_through_both_containers(call: Callable[..., bytes], outputs: dict[str, str]) -> None:
    customer = json.dumps({"years": 0.25, "bill": 95.5, "calls": 5})
    answer = call(outputs["ChurnModel"], customer, "application/json")
    assert json.loads(answer) == [pytest.approx(0.965, abs=0.001)]
