"""An app of which nothing is to be left: a default VPC, and a bucket that is emptied with its stack."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3

STACK = "Disposable"

if __name__ == "__main__":
    app = cdk.App()
    stack = cdk.Stack(app, STACK)
    ec2.Vpc(stack, "Vpc")
    bucket = s3.Bucket(
        stack, "Bucket", versioned=True, auto_delete_objects=True, removal_policy=cdk.RemovalPolicy.DESTROY
    )
    cdk.CfnOutput(stack, "BucketName", value=bucket.bucket_name)
    app.synth()
