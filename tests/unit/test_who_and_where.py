"""Grants and metrics that must hold for tokens, capitals, aliases of keys, other stacks, regions and accounts."""

from __future__ import annotations

import json
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
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Annotations, Match, Template

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

from .conftest import MakeEndpoint, as_list, messages

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
        with pytest.raises(InvalidEndpointError, match=r"target_models\[0\] must be a string, got 3"):
            make_endpoint().grant_invoke(caller, target_models=[3])  # type: ignore[list-item]

    @pytest.mark.parametrize("argument", ["capture", "csv_content_types", "json_content_types"])
    def test_of_data_capture(self, stack: cdk.Stack, argument: str) -> None:
        arguments: dict[str, Any] = {argument: "Input"}
        with pytest.raises(InvalidEndpointError, match=f"{argument} must be a list"):
            DataCapture(bucket=s3.Bucket(stack, "Captured"), **arguments)

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

    def test_capitals_beside_a_token_are_granted_in_both_spellings(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, caller: iam.Role
    ) -> None:
        make_endpoint(endpoint_name=f"Models-{cdk.Aws.REGION}").grant_invoke(caller)
        (statement,) = statements(Template.from_stack(stack), "sagemaker:InvokeEndpoint")
        names = [resource["Fn::Join"][1][-2:] for resource in statement["Resource"]]
        assert [name.rpartition("/")[2] for name, _ in names] == ["Models-", "models-"]
        assert [region for _, region in names] == [{"Ref": "AWS::Region"}] * 2

    def test_an_arn_that_is_a_token_is_granted_as_it_is(self, stack: cdk.Stack, caller: iam.Role) -> None:
        MultiModelEndpoint.from_endpoint_arn(stack, "Theirs", cdk.Fn.import_value("Arn")).grant_invoke(caller)
        (statement,) = statements(Template.from_stack(stack), "sagemaker:InvokeEndpoint")
        assert statement["Resource"] == {"Fn::ImportValue": "Arn"}

    def test_an_arn_of_something_else_is_refused(self, stack: cdk.Stack) -> None:
        arn = "arn:aws:sagemaker:us-west-2:123456789012:model/theirs"
        with pytest.raises(
            InvalidEndpointError, match=r"^Stack/Theirs is not valid:\n  - endpoint_arn must be 'arn:aws"
        ):
            MultiModelEndpoint.from_endpoint_arn(stack, "Theirs", arn)

    def test_a_token_as_name_of_a_variant_names_its_model(self, make_endpoint: MakeEndpoint, stack: cdk.Stack) -> None:
        endpoint = make_endpoint()
        name = cdk.CfnParameter(stack, "Name").value_as_string
        container = MultiModelContainer(
            image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=ModelStore(stack, "Other")
        )
        endpoint.add_variant(name, container=container, instance_type="ml.m5.xlarge", initial_variant_weight=1)
        assert endpoint.find_variant(name).variant_name == name
        Template.from_stack(stack).resource_count_is("AWS::SageMaker::Model", 2)

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

    def test_is_another_policy_for_another_key_of_the_bucket(self) -> None:
        def policies(key_id: str) -> set[str]:
            stack = cdk.Stack(cdk.App(), "Stack", env=HERE)
            bucket = s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, key_id))
            container = MultiModelContainer(
                image=InferenceImage.built_in("xgboost", "3.2-0"),
                model_store=ModelStore(stack, "Models", bucket=bucket),
            )
            MultiModelEndpoint(stack, "Endpoint", container=container, instance_type="ml.m5.xlarge")
            return reading_policies(Template.from_stack(stack))

        assert not policies("One") & policies("Two")

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

    def test_imported_by_arn_grant_the_keys_that_bear_it(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        arn = "arn:aws:kms:us-west-2:111111111111:alias/theirs"
        make_endpoint(encryption_key=kms.Key.from_key_arn(stack, "Key", arn))
        (statement,) = statements(Template.from_stack(stack), "kms:CreateGrant")
        assert statement["Resource"] == "arn:aws:kms:us-west-2:111111111111:key/*"
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

    def test_metrics_of_an_arn_with_a_token_name_what_the_arn_says(self, stack: cdk.Stack) -> None:
        arn = f"arn:aws:sagemaker:eu-west-1:{cdk.Aws.ACCOUNT_ID}:endpoint/theirs"
        metric = MultiModelEndpoint.from_endpoint_arn(stack, "Theirs", arn).find_variant("A").metric_invocations()
        with pytest.raises(RuntimeError, match="Cannot create an Alarm in region 'us-west-2'"):
            metric.create_alarm(stack, "Alarm", threshold=1, evaluation_periods=1)

    def test_metrics_of_an_arn_that_is_a_token_are_taken_for_those_of_here(self, stack: cdk.Stack) -> None:
        endpoint = MultiModelEndpoint.from_endpoint_arn(stack, "Theirs", cdk.Fn.import_value("Arn"))
        metric = endpoint.find_variant("A").metric_invocations()
        metric.create_alarm(stack, "Alarm", threshold=1, evaluation_periods=1)
        Template.from_stack(stack).resource_count_is("AWS::CloudWatch::Alarm", 1)

    def test_a_store_with_a_bucket_of_its_own_in_another_account_is_refused(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        other = self.elsewhere(stack.node.root, account="111111111111")  # type: ignore[arg-type]
        with pytest.raises(InvalidEndpointError, match="model_store must be given a bucket with a bucket_name, got"):
            make_endpoint(model_store=ModelStore(other, "Models"))
        named = s3.Bucket(other, "Bucket", bucket_name="theirs")
        make_endpoint(construct_id="Second", model_store=ModelStore(other, "Named", bucket=named))
        found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("crossAccountBucket"))
        assert len(found) == 1

    @pytest.mark.parametrize("where", [{"account": "111111111111"}, {"region": "eu-west-1"}])
    def test_a_key_that_the_app_makes_elsewhere_is_refused_wherever_one_is_given(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, where: dict[str, str]
    ) -> None:
        other = self.elsewhere(stack.node.root, **where)  # type: ignore[arg-type]
        key = kms.Key(other, "Key")
        local = s3.Bucket(stack, "Captured", encryption_key=kms.Key(stack, "Local"))
        with pytest.raises(InvalidEndpointError, match="must not be encrypted with a KMS key that this app makes"):
            ModelStore(stack, "Models", encryption_key=key)
        with pytest.raises(InvalidEndpointError, match="volumes must not be encrypted with a KMS key that this app"):
            make_endpoint(encryption_key=key)
        with pytest.raises(InvalidEndpointError, match="data_capture bucket must not be encrypted"):
            make_endpoint(construct_id="Second", data_capture=DataCapture(bucket=local, encryption_key=key))
        theirs = s3.Bucket(other, "Bucket", bucket_name="theirs", encryption_key=key)
        capture = DataCapture(bucket=theirs, encryption_key=kms.Key(stack, "Another"))
        with pytest.raises(InvalidEndpointError, match="data_capture bucket must not be encrypted"):
            make_endpoint(construct_id="Third", data_capture=capture)

    def test_keys_and_networks_of_another_region_and_roles_of_another_account_are_refused(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        region = self.elsewhere(stack.node.root, region="eu-west-1")  # type: ignore[arg-type]
        key = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:eu-west-1:123456789012:key/0a")
        role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/theirs")
        with pytest.raises(InvalidEndpointError) as caught:
            make_endpoint(encryption_key=key, vpc=ec2.Vpc(region, "Vpc"), role=role)
        assert messages(caught.value.problems) == [
            "role must be in the endpoint's account 123456789012, got 111111111111",
            "vpc must be in the endpoint's region us-west-2, got eu-west-1",
            "encryption_key must be in the endpoint's region us-west-2, got eu-west-1",
        ]
        with pytest.raises(InvalidEndpointError, match="encryption_key must be in the endpoint's region us-west-2"):
            ModelStore(stack, "Models", encryption_key=key)

    def test_captured_data_and_core_dumps_in_another_account_need_its_policy(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        other = self.elsewhere(stack.node.root, account="111111111111")  # type: ignore[arg-type]
        bucket = s3.Bucket(other, "Bucket", bucket_name="theirs")
        make_endpoint(data_capture=DataCapture(bucket=bucket), core_dump=CoreDump(bucket=bucket, prefix="dumps/"))
        make_endpoint(construct_id="Here", data_capture=DataCapture(bucket=s3.Bucket(stack, "Ours")))
        found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("crossAccountDestination"))
        assert {message.id for message in found} == {"/Stack/Endpoint"}

    def test_alarms_tell_no_topic_of_another_region(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        far, near, unknown = (
            sns.Topic.from_topic_arn(stack, name, f"arn:aws:sns:{region}:111111111111:on-call")
            for name, region in (("Far", "eu-west-1"), ("Near", "us-west-2"), ("Unknown", cdk.Aws.REGION))
        )
        endpoint = make_endpoint()
        with pytest.raises(
            InvalidEndpointError, match="alarm_topic must be in the endpoint's region us-west-2, got eu-west-1"
        ):
            endpoint.monitor("Monitoring", alarm_topic=far)
        endpoint.monitor("Monitoring", alarm_topic=near)
        endpoint.monitor("More", alarm_topic=unknown)

    def test_rollback_alarms_of_elsewhere_are_refused(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        other = self.elsewhere(stack.node.root, region="eu-west-1")  # type: ignore[arg-type]
        metric = cloudwatch.Metric(namespace="Mine", metric_name="Errors")
        made = metric.create_alarm(other, "Alarm", alarm_name="theirs", threshold=1, evaluation_periods=1)
        arn = "arn:aws:cloudwatch:us-west-2:111111111111:alarm:theirs"
        endpoint = make_endpoint()
        with pytest.raises(
            InvalidEndpointError, match="alarms must be in the endpoint's region us-west-2, got eu-west-1"
        ):
            endpoint.add_rollback_alarms(made)
        with pytest.raises(
            InvalidEndpointError, match="alarms must be in the endpoint's account 123456789012, got 111"
        ):
            endpoint.add_rollback_alarms(cloudwatch.Alarm.from_alarm_arn(stack, "Imported", arn))
        here = metric.create_alarm(stack, "Alarm", threshold=1, evaluation_periods=1)
        endpoint.add_rollback_alarms(here, cloudwatch.Alarm.from_alarm_name(stack, "Named", "ours"))
        with pytest.raises(InvalidEndpointError, match=r"alarms must be different ones, got .* more than once"):
            endpoint.add_rollback_alarms(here)

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


class TestASharedRole:
    """IAM allows 10,240 characters in all inline policies of a role."""

    def share(self, role: iam.IRole, endpoints: int) -> cdk.Stack:
        stack = cdk.Stack.of(role)
        image = InferenceImage.built_in("xgboost", "3.2-0")
        store = ModelStore(stack, "Models")
        for number in range(endpoints):
            endpoint = MultiModelEndpoint(
                stack,
                f"Endpoint{number}",
                container=MultiModelContainer(image=image, model_store=store),
                instance_type="ml.m5.xlarge",
                role=role,
            )
            endpoint.add_rollback_alarms(*endpoint.monitor("Monitoring").error_alarms)
        return stack

    def role(self, imported: bool) -> iam.IRole:
        stack = cdk.Stack(cdk.App(), "Stack", env=HERE)
        if imported:
            return iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/ours")
        return iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))

    @pytest.mark.parametrize("imported", [True, False])
    def test_takes_the_permissions_of_some_endpoints(self, imported: bool) -> None:
        stack = self.share(self.role(imported), 8)
        sizes = [
            len(json.dumps(policy["Properties"]["PolicyDocument"], separators=(",", ":")))
            for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
        ]
        assert sum(sizes) > 8_000

    @pytest.mark.parametrize("imported", [True, False])
    def test_is_refused_for_more_than_it_can_take(self, imported: bool) -> None:
        stack = self.share(self.role(imported), 14)
        with pytest.raises(
            RuntimeError, match=r"is shared by 14 endpoints, whose permissions take at least 1\d{4} char"
        ):
            Template.from_stack(stack)
