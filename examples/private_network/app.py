"""An endpoint in a VPC without a way out, with keys of your own for the models and the volumes."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

MODELS = Path(__file__).parent / "models"

app = cdk.App()
stack = cdk.Stack(app, "PrivateNetwork")

vpc = ec2.Vpc(
    stack,
    "Vpc",
    max_azs=2,
    nat_gateways=0,
    subnet_configuration=[ec2.SubnetConfiguration(name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)],
)
# The models are downloaded through the VPC
vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
key = kms.Key(stack, "Key", enable_key_rotation=True)

store = ModelStore(stack, "Models", encryption_key=key)
churn = store.add_model("churn", MODELS / "churn")
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
    instance_type="ml.m5.xlarge",
    vpc=vpc,
    vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
    network_isolation=True,
    encryption_key=key,
)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(stack, "ChurnModel", value=churn.target_model)

app.synth()
