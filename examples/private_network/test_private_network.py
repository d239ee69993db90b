"""The app's template, that nothing in it leads out, and what its model answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

WAYS_OUT = {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EgressOnlyInternetGateway"}


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_there_is_no_way_out(template: Any) -> None:
    resources = template["Resources"].values()
    assert not WAYS_OUT & {resource["Type"] for resource in resources}
    (model,) = [each["Properties"] for each in resources if each["Type"] == "AWS::SageMaker::Model"]
    assert model["EnableNetworkIsolation"] is True
    assert len(model["VpcConfig"]["Subnets"]) == 2


def test_the_model_answers(call: Callable[..., bytes], outputs: dict[str, str]) -> None:
    assert json.loads(call(outputs["ChurnModel"], "3,95.5,5")) == [pytest.approx(0.965, abs=0.001)]
