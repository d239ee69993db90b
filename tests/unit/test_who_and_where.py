"""Grants and metrics that must hold for tokens, capitals, aliases of keys, other stacks, regions and accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import (
    CoreDump,
    DataCapture,
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
    TritonSettings,
)

from .conftest import MakeEndpoint, as_list

HERE = cdk.Environment(account="123456789012", region="us-west-2")


@pytest.fixture
def caller(stack: cdk.Stack) -> iam.Role:
    return iam.Role(stack, "Caller", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))


def statements(template: Template, action: str) -> list[dict[str, Any]]:
    return [
        statement
        for policy in template.find_resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if action in as_list(statement["Action"])
    ]


def reading_policies(template: Template) -> set[str]:
    return {name for name in template.find_resources("AWS::IAM::Policy") if "ModelPolicy" in name}


class TestAStringIsNoList:
    def test_of_target_models(self, make_endpoint: MakeEndpoint, caller: iam.Role) -> None:
        with pytest.raises(InvalidEndpointError, match=r"target_models must be a list.*write \['tenant_a\*'\]"):
            make_endpoint().grant_invoke(caller, target_models="tenant_a*")

    def test_of_target_models_that_are_no_strings(self, make_endpoint: MakeEndpoint, caller: iam.Role) -> None:
        with pytest.raises(InvalidEndpointError, match="target_models must be strings, got 3"):
            make_endpoint().grant_invoke(caller, target_models=[3])  # type: ignore[list-item]

    @pytest.mark.parametrize("argument", ["capture", "csv_content_types", "json_content_types"])
    def test_of_data_capture(self, stack: cdk.Stack, make_endpoint: MakeEndpoint, argument: str) -> None:
        arguments: dict[str, Any] = {argument: "Input"}
        capture = DataCapture(bucket=s3.Bucket(stack, "Captured"), **arguments)
        with pytest.raises(InvalidEndpointError, match=f"{argument} must be a list"):
            make_endpoint(data_capture=capture)

    def test_of_arguments_for_triton(self) -> None:
        with pytest.raises(InvalidEndpointError, match="additional_args must be a list"):
            TritonSettings(additional_args="--log-info=true")

    @pytest.mark.parametrize("argument", ["preprocessors", "postprocessors"])
    @pytest.mark.parametrize("value", ["scaler", PipelineContainer(image=InferenceImage.built_in("xgboost", "3.2-0"))])
    def test_of_containers(self, make_endpoint: MakeEndpoint, argument: str, value: object) -> None:
        with pytest.raises(InvalidEndpointError, match=f"{argument} must be a list"):
            make_endpoint(**{argument: value})

    def test_of_security_groups(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        with pytest.raises(InvalidEndpointError, match="security_groups must be a list"):
            make_endpoint(vpc=ec2.Vpc(stack, "Vpc"), security_groups="sg-1")


class TestNames:
    def test_a_token_is_granted_as_it_is(self, stack: cdk.Stack, make_endpoint: MakeEndpoint, caller: iam.Role) -> None:
        name = cdk.CfnParameter(stack, "Name").value_as_string
        make_endpoint(endpoint_name=name).grant_invoke(caller)
        (statement,) = statements(Template.from_stack(stack), "sagemaker:InvokeEndpoint")
        assert statement["Resource"]["Fn::Join"][1][-1] == {"Ref": "Name"}

    def test_an_import_of_another_stacks_name_is_granted_as_it_is(self, stack: cdk.Stack, caller: iam.Role) -> None:
        endpoint = MultiModelEndpoint.from_endpoint_name(stack, "Theirs", cdk.Fn.import_value("Name"))
        endpoint.grant_invoke(caller)
        (statement,) = statements(Template.from_stack(stack), "sagemaker:InvokeEndpoint")
        assert statement["Resource"]["Fn::Join"][1][-1] == {"Fn::ImportValue": "Name"}

    def test_capitals_in_an_arn_of_elsewhere_are_granted_there(self, stack: cdk.Stack, caller: iam.Role) -> None:
        arn = "arn:aws:sagemaker:eu-west-1:111111111111:endpoint/Theirs"
        MultiModelEndpoint.from_endpoint_arn(stack, "Theirs", arn).grant_invoke(caller)
        (statement,) = statements(Template.from_stack(stack), "sagemaker:InvokeEndpoint")
        assert statement["Resource"] == [arn, arn.replace("Theirs", "theirs")]


class TestWhatAModelMayRead:
    def deployed(self, repository_ids: Sequence[str] = ("One",), bucket_id: str = "Bucket") -> Template:
        stack = cdk.Stack(cdk.App(), "Stack", env=HERE)
        store = ModelStore(stack, "Models", bucket=s3.Bucket(stack, bucket_id))
        containers = [
            MultiModelContainer(
                image=InferenceImage.from_ecr_repository(ecr.Repository(stack, each)), model_store=store
            )
            for each in repository_ids
        ]
        endpoint = MultiModelEndpoint(stack, "Endpoint", container=containers[0], instance_type="ml.m5.xlarge")
        for number, container in enumerate(containers[1:]):
            endpoint.add_variant(
                f"V{number}", container=container, instance_type="ml.m5.xlarge", initial_variant_weight=1
            )
        return Template.from_stack(stack)

    def test_is_named_alike_in_every_synth(self) -> None:
        assert reading_policies(self.deployed()) == reading_policies(self.deployed())

    def test_is_granted_for_each_of_two_repositories_of_the_app(self) -> None:
        template = self.deployed(["One", "Two"])
        assert len(reading_policies(template)) == 2
        assert len(statements(template, "ecr:BatchGetImage")) == 2

    def test_is_another_policy_for_another_repository_of_the_app(self) -> None:
        assert not reading_policies(self.deployed(["One"])) & reading_policies(self.deployed(["Two"]))

    def test_is_another_policy_for_another_bucket_of_the_app(self) -> None:
        assert not reading_policies(self.deployed()) & reading_policies(self.deployed(bucket_id="Other"))

    def test_is_granted_for_each_of_two_functions_with_credentials(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        def image(name: str) -> InferenceImage:
            function = lambda_.Function(
                stack,
                name,
                code=lambda_.Code.from_inline("pass"),
                handler="index.handler",
                runtime=lambda_.Runtime.PYTHON_3_13,
            )
            return InferenceImage.from_private_registry("registry.example.com/server:1", credentials_provider=function)

        store = ModelStore(stack, "Models")
        endpoint = make_endpoint(image=image("A"), model_store=store, vpc=ec2.Vpc(stack, "Vpc"))
        other = MultiModelContainer(image=image("B"), model_store=store)
        endpoint.add_variant("B", container=other, instance_type="ml.m5.xlarge", initial_variant_weight=1)
        assert len(statements(Template.from_stack(stack), "lambda:InvokeFunction")) == 2


class TestAliasesOfKeys:
    def test_of_the_app_grant_the_key(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        key = kms.Key(stack, "Key")
        alias = kms.Alias(stack, "Alias", alias_name="alias/ours", target_key=key)
        make_endpoint(encryption_key=alias)
        (statement,) = statements(Template.from_stack(stack), "kms:CreateGrant")
        assert statement["Resource"] == stack.resolve(key.key_arn)

    def test_imported_by_name_grant_the_keys_that_bear_it(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        alias = kms.Alias.from_alias_name(stack, "Alias", "alias/theirs")
        make_endpoint(
            encryption_key=alias,
            model_store=ModelStore(stack, "Models", encryption_key=alias),
            data_capture=DataCapture(bucket=s3.Bucket(stack, "Captured"), encryption_key=alias),
        )
        template = Template.from_stack(stack)
        for action in ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey*"):
            (statement,) = statements(template, action)
            assert str(statement["Resource"]).endswith(":kms:us-west-2:123456789012:key/*']]}")
            assert statement["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/theirs"}


class TestElsewhere:
    def elsewhere(self, app: cdk.App, **env: str) -> cdk.Stack:
        return cdk.Stack(
            app,
            "Elsewhere",
            env=cdk.Environment(account=env.get("account", HERE.account), region=env.get("region", HERE.region)),
        )

    def test_metrics_of_an_endpoint_used_from_another_region_name_theirs(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        metric = make_endpoint(endpoint_name="mine").default_variant.metric_invocations()
        other = self.elsewhere(stack.node.root, region="eu-west-1", account="111111111111")  # type: ignore[arg-type]
        cloudwatch.Dashboard(other, "Dashboard", widgets=[[cloudwatch.GraphWidget(left=[metric])]])
        (dashboard,) = Template.from_stack(other).find_resources("AWS::CloudWatch::Dashboard").values()
        body = str(dashboard["Properties"]["DashboardBody"])
        assert '"region":"us-west-2"' in body
        assert '"accountId":"123456789012"' in body

    def test_an_alarm_in_another_region_is_refused_by_the_cdk(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        metric = make_endpoint().default_variant.metric_invocations()
        other = self.elsewhere(stack.node.root, region="eu-west-1")  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="Cannot create an Alarm in region 'eu-west-1'"):
            metric.create_alarm(other, "Alarm", threshold=1, evaluation_periods=1)

    def test_metrics_of_an_arn_of_elsewhere_name_its_region_and_account(self, stack: cdk.Stack) -> None:
        arn = "arn:aws:sagemaker:eu-west-1:111111111111:endpoint/theirs"
        metric = MultiModelEndpoint.from_endpoint_arn(stack, "Theirs", arn).find_variant("A").metric_invocations()
        cloudwatch.Dashboard(stack, "Dashboard", widgets=[[cloudwatch.GraphWidget(left=[metric])]])
        (dashboard,) = Template.from_stack(stack).find_resources("AWS::CloudWatch::Dashboard").values()
        assert '"region":"eu-west-1"' in str(dashboard["Properties"])
        assert '"accountId":"111111111111"' in str(dashboard["Properties"])

    def test_a_store_of_a_stack_in_another_region_is_refused(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        other = self.elsewhere(stack.node.root, region="eu-west-1")  # type: ignore[arg-type]
        with pytest.raises(
            InvalidEndpointError, match="bucket must be in the endpoint's region us-west-2, got one in eu-"
        ):
            make_endpoint(model_store=ModelStore(other, "Models"))

    @pytest.mark.parametrize("where", [{"account": "111111111111"}, {"region": "eu-west-1"}])
    def test_a_key_that_the_app_makes_elsewhere_is_refused_in_words(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, where: dict[str, str]
    ) -> None:
        other = self.elsewhere(stack.node.root, **where)  # type: ignore[arg-type]
        bucket = s3.Bucket(other, "Bucket", bucket_name="theirs", encryption_key=kms.Key(other, "Key"))
        with pytest.raises(
            InvalidEndpointError, match="bucket must not be encrypted with a KMS key that this app makes"
        ):
            ModelStore(stack, "Models", bucket=bucket)
        with pytest.raises(InvalidEndpointError, match="data_capture bucket must not be encrypted"):
            make_endpoint(data_capture=DataCapture(bucket=bucket))
        with pytest.raises(InvalidEndpointError, match="core_dump bucket must not be encrypted"):
            make_endpoint(construct_id="Second", core_dump=CoreDump(bucket=bucket))
