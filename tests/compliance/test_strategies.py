"""Every way to deploy is one that the API takes and the local endpoint follows."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import (
    DeploymentPolicy,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
)
from mme_local.aws.shapes import check_request
from mme_local.hosting.spec import EndpointSpec, VariantSpec
from mme_local.sagemaker.guardrails import plan

WAIT = cdk.Duration.minutes(1)
STRATEGIES = {
    "all_at_once": DeploymentPolicy.all_at_once(),
    "canary": DeploymentPolicy.canary(wait=WAIT, percent=25),
    "linear": DeploymentPolicy.linear(wait=WAIT, percent=25),
    "rolling": DeploymentPolicy.rolling(wait=WAIT, percent=25),
}
SHARES = {
    "all_at_once": [1.0],
    "canary": [0.25, 1.0],
    "linear": [0.25, 0.5, 0.75, 1.0],
    "rolling": [0.25, 0.5, 0.75, 1.0],
}
"""The new fleet's share of the traffic after each step of four instances."""


def deployment_config(strategy: str) -> Any:
    stack = cdk.Stack(cdk.App(), "Deployed")
    MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(image=InferenceImage.built_in("knn"), model_store=ModelStore(stack, "Models")),
        instance_type="ml.m5.xlarge",
        initial_instance_count=4,
        deployment=STRATEGIES[strategy],
    )
    (found,) = Template.from_stack(stack).find_resources("AWS::SageMaker::Endpoint").values()
    return found["Properties"]["DeploymentConfig"]


def test_each_strategy_is_tested() -> None:
    made = {name for name, member in vars(DeploymentPolicy).items() if isinstance(member, staticmethod)}
    assert made == {*STRATEGIES} == {*SHARES}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_api_takes_it(strategy: str) -> None:
    request = {"EndpointName": "scoring", "EndpointConfigName": "new", "DeploymentConfig": deployment_config(strategy)}
    check_request("sagemaker", "UpdateEndpoint", request)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_local_endpoint_follows_it(strategy: str) -> None:
    old, new = (
        EndpointSpec("scoring", config, (VariantSpec("AllTraffic", (), "ml.m5.xlarge", 4, 1.0),))
        for config in ("old", "new")
    )
    steps = plan(deployment_config(strategy), old, new).steps
    assert [step.share for step in steps] == SHARES[strategy]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_is_described(root: Path, strategy: str) -> None:
    assert inspect.getdoc(getattr(DeploymentPolicy, strategy))
    assert f"`{strategy}" in (root / "docs" / "updates.md").read_text()
