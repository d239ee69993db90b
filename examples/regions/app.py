"""One commit, three deployments: to a staging account, and, once somebody approves, to two regions of production."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import pipelines
from constructs import Construct

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

MODELS = Path(__file__).parent / "models"
INSTALL = ["npm install --global aws-cdk@2", "pip install --requirement requirements.txt"]


class Scoring(cdk.Stack):
    """The endpoint: in each region its own image, bucket and models."""

    def __init__(self, scope: Construct, construct_id: str, *, instance_count: int) -> None:
        super().__init__(scope, construct_id)
        store = ModelStore(self, "Models")
        churn = store.add_model("churn", MODELS / "churn")
        endpoint = MultiModelEndpoint(
            self,
            "Endpoint",
            container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
            instance_type="ml.m5.xlarge",
            initial_instance_count=instance_count,
        )
        cdk.CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(self, "ChurnModel", value=churn.target_model)


class Deployment(cdk.Stage):
    """All that is deployed together."""

    def __init__(self, scope: Construct, construct_id: str, *, instance_count: int, **stage: Any) -> None:
        super().__init__(scope, construct_id, **stage)
        Scoring(self, "Scoring", instance_count=instance_count)


app = cdk.App()
setting = app.node.get_context  # all that differs between two users of this is in cdk.json

stack = cdk.Stack(app, "Regions", env=cdk.Environment(account=setting("pipeline_account"), region="us-east-1"))
pipeline = pipelines.CodePipeline(
    stack,
    "Pipeline",
    cross_account_keys=True,  # other accounts read what the pipeline has built
    synth=pipelines.ShellStep(
        "Synth",
        input=pipelines.CodePipelineSource.connection(
            setting("repository"), "main", connection_arn=setting("connection")
        ),
        commands=[*INSTALL, "cdk synth"],
    ),
)
pipeline.add_stage(
    Deployment(
        stack,
        "Staging",
        env=cdk.Environment(account=setting("staging_account"), region="us-east-1"),
        instance_count=1,
    )
)
production = pipeline.add_wave("Production", pre=[pipelines.ManualApprovalStep("Approve")])
for region in ("us-east-1", "eu-west-1"):
    production.add_stage(
        Deployment(
            stack,
            f"Production-{region}",
            env=cdk.Environment(account=setting("production_account"), region=region),
            instance_count=2,
        )
    )

app.synth()
