"""The endpoint, deployed to this machine by the real CDK CLI and called by the package."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from scoring import Customer, Scoring

from mme_local.testing import LocalEndpoint

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scoring(local_aws: LocalEndpoint) -> Scoring:
    environment = os.environ | local_aws.environment
    for command in (["bootstrap"], ["deploy", "--all", "--require-approval", "never"]):
        subprocess.run(["cdk", *command], cwd=PROJECT, env=environment, check=True)
    (stack,) = local_aws.client("cloudformation").describe_stacks(StackName="Scoring")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.environment.items():
            patch.setenv(name, value)
        return Scoring(outputs["EndpointName"], outputs["ModelStoreUrl"])


def test_who_pays_much_and_calls_often_is_likely_to_leave(scoring: Scoring) -> None:
    assert scoring.churn(Customer(months=3, bill=95.5, calls=5)) == pytest.approx(0.965, abs=0.001)


def test_who_has_been_content_for_years_is_not(scoring: Scoring) -> None:
    assert scoring.churn(Customer(months=60, bill=30, calls=0)) == pytest.approx(0.024, abs=0.001)
