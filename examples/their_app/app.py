"""The CDK app of a small project: an endpoint, and the package that calls it."""

from pathlib import Path

import aws_cdk as cdk
from scoring.stack import ScoringStack

app = cdk.App()
ScoringStack(app, "Scoring", models=Path(__file__).parent / "models")
app.synth()
