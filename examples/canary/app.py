"""Half of the instances get a release first, and when requests fail there, it is taken back."""

from pathlib import Path

import aws_cdk as cdk

from cdk_multi_model_endpoint import (
    DeploymentPolicy,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
)

HERE = Path(__file__).parent

app = cdk.App()
stack = cdk.Stack(app, "Canary")

store = ModelStore(stack, "Models")
churn = store.add_model("churn", HERE / "models" / "churn")
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(
        image=InferenceImage.built_in("xgboost", "3.2-0"),
        model_store=store,
        source_directory=HERE / "code",
        entry_point="inference.py",
    ),
    instance_type="ml.m5.xlarge",
    deployment=DeploymentPolicy.canary(
        percent=50,
        # the alarm is raised after three minutes
        wait=cdk.Duration.seconds(int(app.node.try_get_context("wait") or 600)),
    ),
)
monitoring = endpoint.monitor("Monitoring")
endpoint.add_rollback_alarms(*monitoring.error_alarms)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "ChurnModel", value=churn.target_model)

app.synth()
