"""An endpoint in one account, whose models lie in the bucket of another."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

OURS = cdk.Environment(account="111111111111", region="eu-west-1")
THEIRS = cdk.Environment(account="222222222222", region="eu-west-1")  # SageMaker reads from its own region alone
BUCKET = "data-science-models-222222222222"
PREFIX = "scoring/"

app = cdk.App()

# What the other account deploys
data_science = cdk.Stack(app, "DataScience", env=THEIRS)
models = s3.Bucket(
    data_science,
    "Models",
    bucket_name=BUCKET,
    encryption=s3.BucketEncryption.S3_MANAGED,
    block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
    enforce_ssl=True,
    versioned=True,
)
# a condition names the role, and no principal: S3 would refuse one that is not there yet
reader = iam.AccountPrincipal(OURS.account).with_conditions(
    {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OURS.account}:role/Scoring-EndpointRole*"}}
)
models.add_to_resource_policy(
    iam.PolicyStatement(
        sid="Load",
        actions=["s3:GetObject"],
        principals=[reader],
        resources=[models.arn_for_objects(f"{PREFIX}*")],
    )
)
models.add_to_resource_policy(
    iam.PolicyStatement(
        sid="Find",
        actions=["s3:ListBucket"],
        principals=[reader],
        resources=[models.bucket_arn],
        conditions={"StringLike": {"s3:prefix": f"{PREFIX}*"}},
    )
)

# What we deploy
scoring = cdk.Stack(app, "Scoring", env=OURS)
bucket = s3.Bucket.from_bucket_attributes(
    scoring, "Theirs", bucket_name=BUCKET, account=THEIRS.account, region=THEIRS.region
)
store = ModelStore(scoring, "Models", bucket=bucket, prefix=PREFIX)
endpoint = MultiModelEndpoint(
    scoring,
    "Endpoint",
    container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
    instance_type="ml.m5.xlarge",
)
cdk.Annotations.of(store).acknowledge_warning(
    "cdk-multi-model-endpoint:crossAccountBucket", "the stack DataScience has that policy"
)

cdk.CfnOutput(scoring, "EndpointName", value=endpoint.endpoint_name)
cdk.CfnOutput(scoring, "ModelStoreUrl", value=store.url)

app.synth()
