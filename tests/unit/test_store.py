"""The store: its bucket, its permissions, and how models get into it."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import custom_resources as cr
from aws_cdk.assertions import Annotations, Match, Template
from constructs import Construct

from cdk_multi_model_endpoint import InferenceImage, InvalidEndpointError, ModelStore, MultiModelContainer, StoredModel
from cdk_multi_model_endpoint._rules import warnings as advise
from cdk_multi_model_endpoint._rules.checks import known_instance_type

from .conftest import MakeEndpoint, as_list, resource


def warnings(stack: cdk.Stack) -> list[str]:
    found = Annotations.from_stack(stack).find_warning("*", Match.any_value())
    return [str(message.entry.data) for message in found]


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


@pytest.mark.parametrize("prefix", ["", "/"])
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

    def test_refuses_a_name_that_is_a_token(self, stack: cdk.Stack, model: Path) -> None:
        name = cdk.CfnParameter(stack, "Tenant").value_as_string
        store = ModelStore(stack, "Models")
        with pytest.raises(InvalidEndpointError, match="name must be known at synth, got a token"):
            store.add_model(f"{name}/resnet", model)
        with pytest.raises(InvalidEndpointError, match="name must be known at synth, got a token"):
            store.add_models(model.parent, folder=name)

    def test_refuses_a_name_too_long_with_its_hash(self, stack: cdk.Stack, model: Path) -> None:
        with pytest.raises(InvalidEndpointError, match="at most 1024 characters, got 1025"):
            ModelStore(stack, "Models", bucket=imported(stack)).add_model("a" * 1002, model)

    def test_refuses_more_than_a_copy_takes(
        self, stack: cdk.Stack, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cdk_multi_model_endpoint._models.store._COPY_LIMIT", 100)
        with pytest.raises(InvalidEndpointError, match=r"at most 5 GiB, .* bytes: upload it with 'mme push'"):
            ModelStore(stack, "Models").add_model("resnet", model)

    def test_warns_of_many_models_in_one_stack(
        self, stack: cdk.Stack, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cdk_multi_model_endpoint._models.stored_model._MODELS_ADVISED", 2)
        stores = [ModelStore(stack, "One"), ModelStore(stack, "Two")]
        stores[0].add_model("a", model)
        stores[1].add_model("a", model)
        assert warnings(stack) == []
        stores[1].add_model("b", model)
        stores[1].add_model("c", model)
        (warning,) = warnings(stack)
        assert "[ack: cdk-multi-model-endpoint:manyModels]" in warning

    @pytest.mark.parametrize("stage", [False, True])
    def test_keeps_the_archive_where_assets_are_not_staged(self, model: Path, stage: bool) -> None:
        """As with ``cdk synth --no-staging``, after which SAM reads the assets where the template says they are."""
        app = cdk.App(context={"aws:cdk:disable-asset-staging": True})
        stack = cdk.Stack(cdk.Stage(app, "Stage") if stage else app, "Stack")
        ModelStore(stack, "Models").add_model("resnet", model)
        app.synth()
        (manifest,) = Path(app.outdir).rglob("*Stack*.assets.json")
        paths = [asset["source"]["path"] for asset in json.loads(manifest.read_text())["files"].values()]
        (archive,) = [Path(manifest.parent, path) for path in paths if path.endswith(".tar.gz")]
        with tarfile.open(archive) as tar:
            assert tar.getnames() == ["code/inference.py", "weights.bin"]

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

    def test_has_a_function_of_its_own_beside_an_earlier_custom_resource_of_the_users(
        self, stack: cdk.Stack, model: Path
    ) -> None:
        # All AwsCustomResource of a stack share one function, with the role and timeout of the first
        call = cr.AwsSdkCall(
            service="STS", action="getCallerIdentity", physical_resource_id=cr.PhysicalResourceId.of("x")
        )
        policy = cr.AwsCustomResourcePolicy.from_sdk_calls(resources=["*"])
        cr.AwsCustomResource(stack, "Users", on_create=call, policy=policy, install_latest_aws_sdk=False)
        ModelStore(stack, "Models", bucket=imported(stack)).add_model("resnet", model)
        template = Template.from_stack(stack)
        functions = template.find_resources("AWS::Lambda::Function")
        (shared,) = [function["Properties"] for name, function in functions.items() if name.startswith("AWS679f53f")]
        ((name, own),) = [
            (name, function["Properties"]) for name, function in functions.items() if name.startswith("ModelUploads")
        ]
        assert (shared["Timeout"], own["Timeout"]) == (120, 900)
        assert [own[key] for key in ("Code", "Handler", "Runtime")] == [
            shared[key] for key in ("Code", "Handler", "Runtime")
        ]
        tokens = {
            found["Properties"]["ServiceToken"]["Fn::GetAtt"][0]
            for logical_id, found in template.find_resources("Custom::AWS").items()
            if "Models" in logical_id
        }
        assert tokens == {name}
        role = own["Role"]["Fn::GetAtt"][0]
        (granted,) = [
            found
            for found in template.find_resources("AWS::IAM::Policy").values()
            if "s3:PutObject" in json.dumps(found)
        ]
        assert granted["Properties"]["Roles"] == [{"Ref": role}]
        assert role != shared["Role"]["Fn::GetAtt"][0]

    def test_works_beside_a_construct_of_the_users_that_is_called_as_its_own(
        self, stack: cdk.Stack, model: Path
    ) -> None:
        Construct(stack, "ModelUploads")
        store = ModelStore(stack, "Models", bucket=imported(stack))
        store.add_model("resnet", model)
        store.add_model("other", model)
        template = Template.from_stack(stack)
        template.resource_count_is("Custom::AWS", 2)
        template.resource_count_is("AWS::Logs::LogGroup", 1)


def imported_again(stack: cdk.Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, "Again", "existing")


def test_grants_to_publish_under_the_prefix_alone(stack: cdk.Stack) -> None:
    role = iam.Role(stack, "Trainer", assumed_by=iam.AccountRootPrincipal())
    bucket = s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, "Key"))
    ModelStore(stack, "Models", bucket=bucket).grant_publish(role).assert_success()
    arn = stack.resolve(bucket.bucket_arn)
    put, listing, unfinished, aliases, key = resource(Template.from_stack(stack), "AWS::IAM::Policy")["PolicyDocument"][
        "Statement"
    ]
    assert put == {
        "Action": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        "Effect": "Allow",
        "Resource": {"Fn::Join": ["", [arn, "/models/*"]]},
    }
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "models/*"}}
    assert unfinished == {"Action": "s3:ListBucketMultipartUploads", "Effect": "Allow", "Resource": arn}
    of_aliases = {"Fn::Join": ["", [arn, "/models/.aliases/*"]]}
    assert aliases == {"Action": "s3:GetObject", "Effect": "Allow", "Resource": of_aliases}
    assert "kms:GenerateDataKey*" in key["Action"]


class TestAddModels:
    @pytest.fixture
    def models(self, tmp_path: Path) -> Path:
        folder = tmp_path / "models"
        for name in ("b", "a"):
            (folder / name).mkdir(parents=True)
            (folder / name / "xgboost-model").write_text(name)
        with tarfile.open(folder / "c.tar.gz", "w:gz") as archive:
            archive.add(folder / "a", arcname=".")
        (folder / "README.md").write_text("Passed over.")
        (folder / ".git").mkdir()
        return folder

    def test_adds_each_sub_folder_and_archive_in_order(self, stack: cdk.Stack, models: Path) -> None:
        stored = ModelStore(stack, "Models").add_models(models)
        assert [*stored] == ["a", "b", "c"]
        assert stored["a"].target_model.removeprefix("a") == stored["c"].target_model.removeprefix("c")
        Template.from_stack(stack).resource_count_is("Custom::AWS", 3)

    def test_names_a_model_as_add_model_does(self, stack: cdk.Stack, models: Path) -> None:
        stored = ModelStore(stack, "Models").add_models(models, folder="tenant_a")
        alone = ModelStore(stack, "Other").add_model("tenant_a/b", models / "b")
        assert stored["tenant_a/b"].target_model == alone.target_model

    def test_adds_nothing_when_one_is_wrong_and_says_all_that_is(self, stack: cdk.Stack, models: Path) -> None:
        store = ModelStore(stack, "Models")
        store.add_model("b", models / "b")
        (models / "empty").mkdir()
        (models / "broken.tar.gz").write_text("no archive")
        with pytest.raises(InvalidEndpointError) as caught:
            store.add_models(models)
        assert [problem.split(": ")[0] for problem in caught.value.problems] == ["b", "broken", "empty"]
        Template.from_stack(stack).resource_count_is("Custom::AWS", 1)

    def test_refuses_two_models_of_a_name(self, stack: cdk.Stack, models: Path) -> None:
        (models / "a.tgz").write_bytes((models / "c.tar.gz").read_bytes())
        with pytest.raises(InvalidEndpointError, match=r"got 'a' and 'a\.tgz' in .*: rename one"):
            ModelStore(stack, "Models").add_models(models)

    def test_refuses_a_folder_without_models(self, stack: cdk.Stack, tmp_path: Path) -> None:
        with pytest.raises(InvalidEndpointError, match=r"a sub-folder or \.tar\.gz file per model"):
            ModelStore(stack, "Models").add_models(tmp_path)

    def test_refuses_what_is_no_folder(self, stack: cdk.Stack, tmp_path: Path) -> None:
        with pytest.raises(InvalidEndpointError, match=r"must be a folder of models, got '.*absent', which is none"):
            ModelStore(stack, "Models").add_models(tmp_path / "absent")


def serve(store: ModelStore, **container: Any) -> None:
    """Tell the store of a container, as an endpoint does."""
    MultiModelContainer(model_store=store, **container)._tell_store("ml.m5.xlarge")


class TestLayout:
    """An endpoint tells the store what its models must look like, whichever comes first."""

    TRITON = InferenceImage.triton("24.09")

    def test_refuses_a_model_added_before_its_container(self, stack: cdk.Stack, model: Path) -> None:
        store = ModelStore(stack, "Models")
        store.add_model("resnet", model)
        with pytest.raises(InvalidEndpointError, match=r"Stack/Models is not valid:\n  - resnet: path must hold"):
            serve(store, image=self.TRITON)

    def test_is_told_by_endpoints_alone(self, stack: cdk.Stack, model: Path, make_endpoint: MakeEndpoint) -> None:
        store = ModelStore(stack, "Models")
        MultiModelContainer(image=self.TRITON, model_store=store)
        store.add_model("resnet", model)
        with pytest.raises(InvalidEndpointError, match=r"Stack/Models is not valid:\n  - resnet: path must hold"):
            make_endpoint(image=self.TRITON, model_store=store)
        boosters = InferenceImage.built_in("xgboost", "3.2-0")
        endpoint = make_endpoint(construct_id="Other", image=boosters, model_store=ModelStore(stack, "Boosters"))
        with pytest.raises(InvalidEndpointError, match=r"Stack/Models is not valid:\n  - resnet: path must hold"):
            endpoint.add_variant(
                "B",
                instance_type="ml.m5.xlarge",
                initial_variant_weight=1,
                container=MultiModelContainer(image=self.TRITON, model_store=store),
            )

    def test_refuses_a_model_added_after_its_container(self, stack: cdk.Stack, model: Path) -> None:
        store = ModelStore(stack, "Models")
        serve(store, image=self.TRITON)
        with pytest.raises(InvalidEndpointError, match=r"Models/resnet is not valid:\n  - path must hold"):
            store.add_model("resnet", model)
        Template.from_stack(stack).resource_count_is("Custom::AWS", 0)

    def test_warns_either_way_and_can_be_acknowledged(self, stack: cdk.Stack, model: Path) -> None:
        (model / "more.bin").write_text("more")
        store = ModelStore(stack, "Models")
        before = store.add_model("before", model)
        serve(store, image=InferenceImage.built_in("xgboost", "3.2-0"))
        store.add_model("after", model)
        assert ["xgboostSeveralModels" in warning for warning in warnings(stack)] == [True, True]
        cdk.Annotations.of(before).acknowledge_warning("cdk-multi-model-endpoint:xgboostSeveralModels", "Meant.")
        assert len(warnings(stack)) == 1

    @pytest.mark.parametrize("how", [{"environment": {"SAGEMAKER_PROGRAM": "serve.py"}}, {"entry_point": "serve.py"}])
    def test_knows_the_containers_program(self, stack: cdk.Stack, model: Path, how: dict[str, Any]) -> None:
        (model / "code" / "inference.py").rename(model / "code" / "serve.py")
        store = ModelStore(stack, "Models")
        store.add_model("resnet", model)
        image = InferenceImage.built_in("sklearn", "1.9-0")
        serve(store, image=image)
        assert not warnings(stack)
        serve(store, image=image, **how)
        assert "code/serve.py" in warnings(stack)[0]

    def test_accepts_a_token_as_program(self, stack: cdk.Stack, model: Path) -> None:
        program = cdk.CfnParameter(stack, "Program").value_as_string
        store = ModelStore(stack, "Models")
        store.add_model("resnet", model)
        image = InferenceImage.built_in("sklearn", "1.9-0")
        serve(store, image=image, environment={"SAGEMAKER_PROGRAM": program})
        assert not warnings(stack)

    def test_leaves_models_to_the_program_of_an_xgboost_container(self, stack: cdk.Stack, model: Path) -> None:
        (model / "inference.py").write_text("")
        store = ModelStore(stack, "Models")
        store.add_model("resnet", model)
        image = InferenceImage.built_in("xgboost", "3.2-0")
        serve(store, image=image, entry_point="inference.py")
        with pytest.raises(InvalidEndpointError, match="nothing but boosters"):
            serve(store, image=image)

    def test_containers_of_two_frameworks_share_a_store_by_models_that_are_not_checked(
        self, stack: cdk.Stack, model: Path, tmp_path: Path
    ) -> None:
        boosters = tmp_path / "boosters"
        (boosters / "churn").mkdir(parents=True)
        (boosters / "churn" / "xgboost-model").write_text("{}")
        store = ModelStore(stack, "Models")
        store.add_model("before", model, check_layout=False)
        serve(store, image=InferenceImage.built_in("xgboost", "3.2-0"))
        store.add_models(boosters, check_layout=False)
        serve(store, image=self.TRITON)
        store.add_model("after", model, check_layout=False)
        with pytest.raises(InvalidEndpointError, match="path must hold"):
            store.add_model("checked", model)
        Template.from_stack(stack).resource_count_is("Custom::AWS", 3)


class TestElsewhere:
    """Buckets and keys of other accounts and regions; the stack is in 123456789012 and us-west-2."""

    def bucket(self, stack: cdk.Stack, **attributes: Any) -> s3.IBucket:
        return s3.Bucket.from_bucket_attributes(stack, "Imported", bucket_name="existing", **attributes)

    def test_does_not_warn_of_a_bucket_of_its_own_account(self, stack: cdk.Stack) -> None:
        ModelStore(stack, "Models", bucket=self.bucket(stack, account="123456789012", region="us-west-2"))
        assert warnings(stack) == []

    def test_warns_of_another_accounts_bucket_and_grants_what_it_can(self, stack: cdk.Stack, model: Path) -> None:
        role = iam.Role(stack, "Reader", assumed_by=iam.AccountRootPrincipal())
        store = ModelStore(stack, "Models", bucket=self.bucket(stack, account="210987654321"))
        store.grant_read(role).assert_success()
        store.add_model("resnet", model)
        (warning,) = warnings(stack)
        assert "bucket is in account 210987654321" in warning
        assert "[ack: cdk-multi-model-endpoint:crossAccountBucket]" in warning
        policies = json.dumps(Template.from_stack(stack).find_resources("AWS::IAM::Policy"))
        assert all(action in policies for action in ("s3:GetObject", "s3:ListBucket", "s3:PutObject"))

    def test_warns_of_another_accounts_key_and_grants_its_use(self, stack: cdk.Stack, model: Path) -> None:
        arn = "arn:aws:kms:us-west-2:210987654321:key/0a1b2c3d"
        bucket = self.bucket(stack, encryption_key=kms.Key.from_key_arn(stack, "Key", arn), account="210987654321")
        role = iam.Role(stack, "Reader", assumed_by=iam.AccountRootPrincipal())
        store = ModelStore(stack, "Models", bucket=bucket)
        store.grant_read(role)
        store.add_model("resnet", model)
        assert ["crossAccountBucket" in warning for warning in warnings(stack)] == [True, False]
        assert "crossAccountKey" in warnings(stack)[1]
        uploads, reader = sorted(
            json.dumps(policy) for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
        )
        assert json.dumps({"Action": "kms:Decrypt", "Effect": "Allow", "Resource": arn}) in uploads + reader
        assert "kms:GenerateDataKey*" in uploads + reader

    def test_warns_where_the_stacks_account_is_not_known(self, model: Path) -> None:
        stack = cdk.Stack(cdk.App(), "Agnostic")
        ModelStore(stack, "Models", bucket=self.bucket(stack, account="210987654321"))
        assert "crossAccountBucket" in warnings(stack)[0]

    def test_accepts_a_token_as_account(self, stack: cdk.Stack) -> None:
        ModelStore(stack, "Models", bucket=self.bucket(stack, account=cdk.Aws.ACCOUNT_ID, region=cdk.Aws.REGION))
        assert warnings(stack) == []

    def test_refuses_a_bucket_in_another_region(self, stack: cdk.Stack) -> None:
        with pytest.raises(InvalidEndpointError, match="bucket must be in the endpoint's region us-west-2, got one in"):
            ModelStore(stack, "Models", bucket=self.bucket(stack, region="eu-west-1"))


@pytest.mark.parametrize("first", ["model", "instances"])
def test_warns_of_a_model_that_an_instance_cannot_hold(stack: cdk.Stack, model: Path, first: str) -> None:
    store = ModelStore(stack, "Models", bucket=imported(stack))
    known = known_instance_type("ml.t2.medium")
    assert known is not None
    tiny = dataclasses.replace(known, memory_mib=0)  # packing a model of gigabytes would take a minute
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advise, "known_instance_type", lambda _: tiny)
        if first == "model":
            store.add_model("resnet", model)
            store._serve(None, {}, "ml.t2.medium")
        else:
            store._serve(None, {}, "ml.t2.medium")
            store.add_model("resnet", model)
    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("modelLargerThanMemory"))
    assert len(found) == 1


class TestDestroy:
    def test_warns_that_s3_deletes_no_bucket_with_models(self, stack: cdk.Stack) -> None:
        ModelStore(stack, "Models", removal_policy=cdk.RemovalPolicy.DESTROY)
        (warning,) = warnings(stack)
        assert "give auto_delete_objects=True" in warning
        assert "[ack: cdk-multi-model-endpoint:bucketNotEmptied]" in warning

    def test_can_empty_the_bucket_before(self, stack: cdk.Stack) -> None:
        ModelStore(stack, "Models", removal_policy=cdk.RemovalPolicy.DESTROY, auto_delete_objects=True)
        assert warnings(stack) == []
        template = Template.from_stack(stack)
        template.resource_count_is("Custom::S3AutoDeleteObjects", 1)
        template.has_resource("AWS::S3::Bucket", {"DeletionPolicy": "Delete"})

    def test_empties_neither_a_bucket_that_stays_nor_one_that_is_not_its_own(self, stack: cdk.Stack) -> None:
        with pytest.raises(InvalidEndpointError, match="auto_delete_objects needs removal_policy=RemovalPolicy"):
            ModelStore(stack, "Models", auto_delete_objects=True)
        with pytest.raises(InvalidEndpointError, match="auto_delete_objects must not be given with bucket"):
            ModelStore(
                stack,
                "Theirs",
                bucket=imported(stack),
                removal_policy=cdk.RemovalPolicy.DESTROY,
                auto_delete_objects=True,
            )


def test_names_what_uploads_a_model_for_findings_on_it(stack: cdk.Stack, model: Path) -> None:
    store = ModelStore(stack, "Models")
    first, second = store.add_model("first", model), store.add_model("second", model)
    assert first.uploads is second.uploads
    template = Template.from_stack(stack)
    (function,) = template.find_resources("AWS::Lambda::Function").values()
    found: Any = first.uploads.function.node.default_child
    assert stack.resolve(found.ref) in [{"Ref": name} for name in template.find_resources("AWS::Lambda::Function")]
    assert function["Properties"]["Role"] == stack.resolve(first.uploads.role.role_arn)
    assert function["Properties"]["LoggingConfig"]["LogGroup"] == stack.resolve(first.uploads.log_group.log_group_name)
    assert "CopySource" in json.dumps(template.find_resources("Custom::AWS"))
    assert first.asset.asset_hash in first.asset.s3_object_key


def test_names_the_uploads_own_function_beside_a_users(stack: cdk.Stack, model: Path) -> None:
    call = cr.AwsSdkCall(service="S3", action="listBuckets", physical_resource_id=cr.PhysicalResourceId.of("id"))
    allowed = cr.AwsCustomResourcePolicy.from_sdk_calls(resources=["*"])
    cr.AwsCustomResource(stack, "Users", on_create=call, policy=allowed, install_latest_aws_sdk=False)
    stored = ModelStore(stack, "Models").add_model("resnet", model)
    assert stored.uploads.function.node.path == "Stack/ModelUploads/Function"
