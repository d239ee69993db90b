"""What the pipeline does, and what it deploys to production: here by the CDK CLI, to two regions of one account.

The local endpoint has no CodePipeline, and no second account.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint

REGIONS = {"us-east-1": "683313688378", "eu-west-1": "141502667606"}
"""Those of production, each with AWS's account of XGBoost's image."""

LOCAL = "000000000000"


@pytest.fixture(scope="module")
def stages(templates: dict[str, Any]) -> list[dict[str, Any]]:
    """The stages of the pipeline."""
    resources = templates["Regions"]["Resources"].values()
    (pipeline,) = [each["Properties"] for each in resources if each["Type"] == "AWS::CodePipeline::Pipeline"]
    stages: list[dict[str, Any]] = pipeline["Stages"]
    return stages


@pytest.fixture(scope="module")
def deployed(
    aws: LocalEndpoint, cdk: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, str]]]:
    """The outputs in each region."""
    folder = tmp_path_factory.mktemp("regions")
    context = [f"--context={kind}_account={LOCAL}" for kind in ("pipeline", "staging", "production")]
    output = ["--output", str(folder / "cdk.out")]
    for command in (
        ["bootstrap", f"aws://{LOCAL}/eu-west-1"],
        ["deploy", "Regions/Production-*/*", "--require-approval", "never"],
    ):
        said = cdk(*command, *context, *output)
        assert said.returncode == 0, said.stdout + said.stderr
    outputs = {}
    for region in REGIONS:
        stacks = aws.client("cloudformation", region=region)
        (stack,) = stacks.describe_stacks(StackName=f"Production-{region}-Scoring")["Stacks"]
        outputs[region] = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    yield outputs
    for region in REGIONS:
        aws.client("cloudformation", region=region).delete_stack(StackName=f"Production-{region}-Scoring")


def test_template_is_unchanged(templates: dict[str, Any], snapshot_json: SnapshotAssertion) -> None:
    """One of those that the pipeline deploys: its own changes with each version of the CDK."""
    (template,) = (template for name, template in templates.items() if "Productioneuwest1" in name)
    assert template == snapshot_json


def test_production_comes_after_staging_and_after_somebody_has_approved(stages: list[dict[str, Any]]) -> None:
    assert [stage["Name"] for stage in stages[-2:]] == ["Staging", "Production"]
    order = {action["Name"]: action["RunOrder"] for action in stages[-1]["Actions"]}
    assert min(order, key=order.__getitem__) == "Approve"
    assert {name for name in order if name.endswith(".Deploy")} == {
        f"Production-{region}.Scoring.Deploy" for region in REGIONS
    }


@pytest.mark.parametrize("region", REGIONS)
def test_each_region_has_its_own_image(templates: dict[str, Any], region: str) -> None:
    (name,) = (name for name in templates if f"Production{region.replace('-', '')}" in name)
    (model,) = (each for each in templates[name]["Resources"].values() if each["Type"] == "AWS::SageMaker::Model")
    assert f"{REGIONS[region]}.dkr.ecr.{region}." in json.dumps(model["Properties"]["Containers"])


@pytest.mark.parametrize("region", REGIONS)
def test_each_region_answers(aws: LocalEndpoint, deployed: dict[str, dict[str, str]], region: str) -> None:
    outputs = deployed[region]
    answer = aws.client("sagemaker-runtime", region=region, read_timeout=70).invoke_endpoint(
        EndpointName=outputs["EndpointName"],
        TargetModel=outputs["ChurnModel"],
        ContentType="text/csv",
        Body="3,95.5,5",
    )
    assert json.loads(answer["Body"].read()) == [pytest.approx(0.965, abs=0.001)]
