"""Models that nobody waits for: called after each update, and again before SageMaker unloads them."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_logs as logs

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint, WarmUpCall

app = cdk.App()
stack = cdk.Stack(app, "WarmModels")

endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(
        image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=ModelStore(stack, "Models")
    ),
    instance_type="ml.m5.xlarge",
)
# with add_model, give what it returns in place of the name
churn = WarmUpCall("churn-1a2b3c4d.tar.gz", "3,95.5,5", "text/csv")
price = WarmUpCall("house-price-5e6f7a8b.tar.gz", "120,4,15,3.5", "text/csv", accept="application/json")
endpoint.warm_up(
    "WarmUp",
    [price, churn],
    schedule=events.Schedule.rate(cdk.Duration.minutes(15)),
    timeout=cdk.Duration.minutes(5),
)

# where the functions that call the endpoint write their call log
calls = logs.LogGroup(stack, "Calls", retention=logs.RetentionDays.ONE_MONTH)
endpoint.monitor("Monitoring", call_log=calls)

app.synth()
