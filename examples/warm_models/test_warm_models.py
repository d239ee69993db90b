"""The app's template, and that nobody waits for a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_both_models_are_called_before_the_deployment_ends(aws: LocalEndpoint, outputs: dict[str, str]) -> None:
    lines = aws.client("logs").filter_log_events(logGroupName=outputs["WarmUpLog"])["events"]
    reports = [json.loads(line["message"]) for line in lines if line["message"].startswith("{")]
    assert [report["calls"] == report["answered"] > 0 for report in reports] == [True, True]


def test_a_model_answers(call: Callable[..., bytes], outputs: dict[str, str]) -> None:
    assert json.loads(call(outputs["ChurnModel"], "3,95.5,5")) == [pytest.approx(0.965, abs=0.001)]
