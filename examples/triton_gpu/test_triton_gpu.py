"""The app's template, and what its models answer, on CPUs: the local endpoint has no GPUs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

FLOWER = {"name": "MEASUREMENTS", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}
QUESTION = {"name": "TEXT", "shape": [1, 1], "datatype": "BYTES", "data": ["Wo ist der Bahnhof, bitte?"]}


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


@pytest.mark.parametrize(
    ("name", "tensor", "answer"), [("IrisModel", FLOWER, "setosa"), ("LanguageModel", QUESTION, "de")]
)
def test_a_model_answers(
    call: Callable[..., bytes], outputs: dict[str, str], name: str, tensor: dict[str, Any], answer: str
) -> None:
    body = json.dumps({"inputs": [tensor]})
    (found, _) = json.loads(call(outputs[name], body, "application/json"))["outputs"]
    assert found["data"] == [answer]
