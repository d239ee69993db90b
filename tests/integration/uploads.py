"""An app whose own custom resource comes before the uploads, as its test deploys and destroys it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs
from aws_cdk import custom_resources as cr

from cdk_multi_model_endpoint import ModelStore

STACK = "Uploads"
BUCKET = "Bucket"

if __name__ == "__main__":
    app = cdk.App()
    stack = cdk.Stack(app, STACK)
    call = cr.AwsSdkCall(
        service="S3", action="listBuckets", output_paths=["Owner"], physical_resource_id=cr.PhysicalResourceId.of("x")
    )
    policy = cr.AwsCustomResourcePolicy.from_sdk_calls(resources=cr.AwsCustomResourcePolicy.ANY_RESOURCE)
    logs = aws_logs.LogGroup(stack, "Logs", removal_policy=cdk.RemovalPolicy.DESTROY)
    cr.AwsCustomResource(stack, "Users", on_create=call, policy=policy, install_latest_aws_sdk=False, log_group=logs)
    store = ModelStore(stack, "Models", removal_policy=cdk.RemovalPolicy.DESTROY, auto_delete_objects=True)
    model = app.node.get_context("model")
    aliases = [str(alias) for alias in app.node.get_context("aliases").split()]
    store.add_model("resnet", model, aliases=aliases, alias_removal_policy=cdk.RemovalPolicy.DESTROY)
    cdk.CfnOutput(stack, BUCKET, value=store.bucket.bucket_name)
    app.synth()
