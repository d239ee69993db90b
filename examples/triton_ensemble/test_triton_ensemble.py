"""The app's template, and what the ensemble answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from syrupy.assertion import SnapshotAssertion


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_a_text_goes_through_both_models(call: Callable[..., bytes], outputs: dict[str, str]) -> None:
    texts = ["Great! I love it.", "It was slow, and now it is broken."]
    tensor = {"name": "TEXT", "shape": [2, 1], "datatype": "BYTES", "data": texts}
    answer = json.loads(call(outputs["ReviewModel"], json.dumps({"inputs": [tensor]}), "application/json"))
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    assert found == {"OPINION": ["content", "not content"], "SCORE": [4, -3]}
