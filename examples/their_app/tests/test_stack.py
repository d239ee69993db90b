"""The template: what a change of the code would change on AWS."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Match, Template
from scoring.stack import ScoringStack
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.filters import props

MODELS = Path(__file__).parents[1] / "models"


@pytest.fixture(scope="module")
def template() -> Template:
    return Template.from_stack(ScoringStack(cdk.App(), "Scoring", models=MODELS))


def test_template_is_unchanged(template: Template, snapshot: SnapshotAssertion) -> None:
    # the code of the CDK's own functions, another one with each version of the CDK
    unstable = props("S3Key")
    assert template.to_json() == snapshot.use_extension(JSONSnapshotExtension)(exclude=unstable)


def test_the_endpoint_survives_the_loss_of_an_instance(template: Template) -> None:
    variant = Match.object_like({"InitialInstanceCount": 2})
    template.has_resource_properties("AWS::SageMaker::EndpointConfig", {"ProductionVariants": [variant]})
