"""The store: its bucket, its permissions, and how models get into it."""

from __future__ import annotations

import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import custom_resources as cr
from aws_cdk.assertions import Match, Template

from cdk_multi_model_endpoint import InvalidEndpointError, ModelStore, StoredModel

from .conftest import resource


def imported(stack: cdk.Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, "Imported", "existing")


def test_makes_a_private_versioned_encrypted_bucket_and_keeps_it(stack: cdk.Stack) -> None:
    ModelStore(stack, "Models")
    template = Template.from_stack(stack)
    bucket = resource(template, "AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]
    template.has_resource("AWS::S3::Bucket", {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"})
    template.has_resource_properties(
        "AWS::S3::BucketPolicy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like({"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
                ]
            }
        },
    )


def test_uses_an_existing_bucket(stack: cdk.Stack) -> None:
    store = ModelStore(stack, "Models", bucket=imported(stack), prefix="team/models")
    assert store.prefix == "team/models/"
    assert store.url == "s3://existing/team/models/"
    Template.from_stack(stack).resource_count_is("AWS::S3::Bucket", 0)


def test_accepts_a_token_as_prefix(stack: cdk.Stack) -> None:
    prefix = cdk.CfnParameter(stack, "Prefix").value_as_string
    store = ModelStore(stack, "Models", bucket=imported(stack), prefix=f"{prefix}/")
    assert stack.resolve(store.url) == {"Fn::Join": ["", ["s3://existing/", {"Ref": "Prefix"}, "/"]]}


@pytest.mark.parametrize("prefix", ["", "/", "models/one.tar.gz"])
def test_refuses_what_is_no_prefix(stack: cdk.Stack, prefix: str) -> None:
    with pytest.raises(InvalidEndpointError, match=r"Stack/Models is not valid:\n  - prefix must"):
        ModelStore(stack, "Models", prefix=prefix)


def test_refuses_too_long_a_url(stack: cdk.Stack) -> None:
    with pytest.raises(InvalidEndpointError, match="at most 1024 characters, got 1115"):
        ModelStore(stack, "Models", bucket=imported(stack), prefix="a" * 1100)


def test_grants_to_read_the_prefix_alone(stack: cdk.Stack) -> None:
    role = iam.Role(stack, "Reader", assumed_by=iam.AccountRootPrincipal())
    key = kms.Key(stack, "Key")
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)
    ModelStore(stack, "Models", bucket=bucket).grant_read(role).assert_success()
    arn = stack.resolve(bucket.bucket_arn)
    policy = resource(Template.from_stack(stack), "AWS::IAM::Policy")
    assert policy["PolicyDocument"]["Statement"] == [
        {"Action": "s3:GetObject", "Effect": "Allow", "Resource": {"Fn::Join": ["", [arn, "/models/*"]]}},
        {
            "Action": "s3:ListBucket",
            "Effect": "Allow",
            "Resource": arn,
            "Condition": {"StringLike": {"s3:prefix": "models/*"}},
        },
        {"Action": "kms:Decrypt", "Effect": "Allow", "Resource": stack.resolve(key.key_arn)},
    ]


class TestAddModel:
    def test_names_the_object_by_content(self, stack: cdk.Stack, model: Path) -> None:
        store = ModelStore(stack, "Models", bucket=imported(stack))
        first = store.add_model("resnet", model)
        (model / "weights.bin").write_bytes(b"changed")
        second = ModelStore(stack, "Others", bucket=imported_again(stack)).add_model("resnet", model)
        assert first.target_model.startswith("resnet-")
        assert first.target_model.endswith(".tar.gz")
        assert first.target_model != second.target_model

    def test_copies_on_create_and_update_and_leaves_the_object_on_delete(self, stack: cdk.Stack, model: Path) -> None:
        stored = ModelStore(stack, "Models", bucket=imported(stack)).add_model("tenant_a/resnet", model)
        upload = resource(Template.from_stack(stack), "Custom::AWS")
        assert upload["Create"] == upload["Update"]
        assert "Delete" not in upload
        call = json.loads(upload["Create"])
        assert call["action"] == "copyObject"
        assert call["parameters"]["Bucket"] == "existing"
        assert call["parameters"]["Key"] == f"models/{stored.target_model}"
        assert stored.target_model.startswith("tenant_a/resnet-")
        assert upload["InstallLatestAwsSdk"] is False

    def test_is_named_alike_wherever_it_is_packed(self, stack: cdk.Stack, model: Path) -> None:
        stored = ModelStore(stack, "Models", bucket=imported(stack)).add_model("resnet", model)
        assert stored.target_model == "resnet-9429d5b6.tar.gz"

    def test_can_be_waited_for(self, stack: cdk.Stack, model: Path) -> None:
        stored = ModelStore(stack, "Models", bucket=imported(stack)).add_model("resnet", model)
        waiting = cdk.CfnResource(stack, "Waiting", type="AWS::SNS::Topic")
        waiting.node.add_dependency(stored)
        template = Template.from_stack(stack)
        (upload,) = template.find_resources("Custom::AWS")
        template.has_resource("AWS::SNS::Topic", {"DependsOn": [upload]})

    def test_may_be_called_like_a_construct(self, stack: cdk.Stack, model: Path) -> None:
        store = ModelStore(stack, "Models")
        assert isinstance(store.add_model("Bucket", model), StoredModel)
        Template.from_stack(stack).resource_count_is("Custom::AWS", 1)

    def test_refuses_a_name_twice(self, stack: cdk.Stack, model: Path) -> None:
        store = ModelStore(stack, "Models", bucket=imported(stack))
        store.add_model("resnet", model)
        with pytest.raises(InvalidEndpointError, match="name must be new in this store, got 'resnet' a second time"):
            store.add_model("resnet", model)

    def test_refuses_a_name_too_long_with_its_hash(self, stack: cdk.Stack, model: Path) -> None:
        with pytest.raises(InvalidEndpointError, match="at most 1024 characters, got 1025"):
            ModelStore(stack, "Models", bucket=imported(stack)).add_model("a" * 1002, model)

    def test_leaves_no_trace_of_a_refused_model(self, stack: cdk.Stack, model: Path, tmp_path: Path) -> None:
        store = ModelStore(stack, "Models", bucket=imported(stack))
        with pytest.raises(InvalidEndpointError, match=r"Models/resnet is not valid:\n  - path must be"):
            store.add_model("resnet", tmp_path / "absent")
        store.add_model("resnet", model)
        Template.from_stack(stack).resource_count_is("Custom::AWS", 1)

    def test_shares_one_role_between_models_and_stores(self, stack: cdk.Stack, model: Path) -> None:
        for name in ("One", "Two"):
            store = ModelStore(stack, name)
            store.add_model("a", model)
            store.add_model("b", model)
        template = Template.from_stack(stack)
        template.resource_count_is("Custom::AWS", 4)
        template.resource_count_is("AWS::IAM::Role", 1)
        statements = resource(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
        assert {action for found in statements for action in as_list(found["Action"])} == {
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "s3:GetObject",
            "s3:PutObject",
        }

    def test_encrypts_with_the_buckets_key(self, stack: cdk.Stack, model: Path) -> None:
        bucket = s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, "Key"))
        ModelStore(stack, "Models", bucket=bucket).add_model("resnet", model)
        policy = resource(Template.from_stack(stack), "AWS::IAM::Policy")
        assert "kms:GenerateDataKey*" in json.dumps(policy)

    def test_works_beside_a_custom_resource_of_the_users_own(self, stack: cdk.Stack, model: Path) -> None:
        # All AwsCustomResource of a stack share one function: the permissions must go to whatever role it has.
        call = cr.AwsSdkCall(
            service="STS", action="getCallerIdentity", physical_resource_id=cr.PhysicalResourceId.of("x")
        )
        policy = cr.AwsCustomResourcePolicy.from_sdk_calls(resources=["*"])
        cr.AwsCustomResource(stack, "Users", on_create=call, policy=policy, install_latest_aws_sdk=False)
        ModelStore(stack, "Models", bucket=imported(stack)).add_model("resnet", model)
        template = Template.from_stack(stack)
        functions = template.find_resources("AWS::Lambda::Function")
        (role,) = [
            function["Properties"]["Role"]["Fn::GetAtt"][0]
            for logical_id, function in functions.items()
            if logical_id.startswith("AWS679f53fac002430cb0da5b7982bd2287")
        ]
        (granted,) = [
            found
            for found in template.find_resources("AWS::IAM::Policy").values()
            if "s3:PutObject" in json.dumps(found)
        ]
        assert granted["Properties"]["Roles"] == [{"Ref": role}]


def imported_again(stack: cdk.Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, "Again", "existing")


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_grants_to_publish_under_the_prefix_alone(stack: cdk.Stack) -> None:
    role = iam.Role(stack, "Trainer", assumed_by=iam.AccountRootPrincipal())
    bucket = s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, "Key"))
    ModelStore(stack, "Models", bucket=bucket).grant_publish(role).assert_success()
    arn = stack.resolve(bucket.bucket_arn)
    put, listing, unfinished, key = resource(Template.from_stack(stack), "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert put == {
        "Action": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        "Effect": "Allow",
        "Resource": {"Fn::Join": ["", [arn, "/models/*"]]},
    }
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "models/*"}}
    assert unfinished == {"Action": "s3:ListBucketMultipartUploads", "Effect": "Allow", "Resource": arn}
    assert "kms:GenerateDataKey*" in key["Action"]
