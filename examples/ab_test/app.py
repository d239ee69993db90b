"""Two sets of models side by side: nine of ten requests go to the champion, one to the challenger."""

import aws_cdk as cdk

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

app = cdk.App()
stack = cdk.Stack(app, "AbTest")

champions = ModelStore(stack, "Champions", prefix="champions/")
# Another prefix of the same bucket: a target model must be under the prefix of whichever variant is hit
challengers = ModelStore(stack, "Challengers", bucket=champions.bucket, prefix="challengers/")

image = InferenceImage.built_in("xgboost", "3.2-0")
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(image=image, model_store=champions),
    instance_type="ml.m5.xlarge",
    variant_name="Champion",
    initial_variant_weight=9,
)
endpoint.add_variant(
    "Challenger",
    container=MultiModelContainer(image=image, model_store=challengers),
    instance_type="ml.m5.xlarge",
    initial_variant_weight=1,
)
for variant in endpoint.variants:
    scaling = variant.auto_scale_instance_count(max_capacity=6)
    scaling.scale_on_cpu_utilization("Busy", target_utilization_percent=60)
endpoint.monitor("Monitoring")

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "ChampionsUrl", value=champions.url)
cdk.CfnOutput(stack, "ChallengersUrl", value=challengers.url)

app.synth()
