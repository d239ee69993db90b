"""Models that nobody waits for: called after each update, and again before SageMaker unloads them."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_logs as logs

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint, WarmUpCall

MODELS = Path(__file__).parent / "models"

app = cdk.App()
stack = cdk.Stack(app, "WarmModels")

store = ModelStore(stack, "Models")
models = store.add_models(MODELS)
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
    instance_type="ml.m5.xlarge",
)
churn = WarmUpCall(models["churn"], "3,95.5,5", "text/csv")
# of a model that was published by itself, the target model: "house-price-5e6f7a8b.tar.gz"
price = WarmUpCall(models["house-price"], "120,4,15,3.5", "text/csv", accept="application/json")
warm_up = endpoint.warm_up(
    "WarmUp",
    [price, churn],
    schedule=events.Schedule.rate(cdk.Duration.minutes(15)),
    timeout=cdk.Duration.minutes(5),
)

# where the functions that call the endpoint write their call log
calls = logs.LogGroup(stack, "Calls", retention=logs.RetentionDays.ONE_MONTH)
endpoint.monitor("Monitoring", call_log=calls)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "ChurnModel", value=models["churn"].target_model)
cdk.CfnOutput(stack, "WarmUpLog", value=warm_up.log_group.log_group_name)

app.synth()
