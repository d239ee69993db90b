"""The construct: defaults, overrides, refusals, tokens, and the template that comes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match, Template

from cdk_multi_model_endpoint import (
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
)

from .conftest import MakeEndpoint, as_list, only_variant, resource

KNN = InferenceImage.built_in("knn")


def containers(template: Template) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resource(template, "AWS::SageMaker::Model")["Containers"]
    return found


def warnings(stack: cdk.Stack) -> list[str]:
    found = Annotations.from_stack(stack).find_warning("*", Match.any_value())
    return [str(message.entry.data) for message in found]


def test_defaults(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    template = Template.from_stack(stack)
    (container,) = containers(template)
    assert container["Mode"] == "MultiModel"
    assert container["MultiModelConfig"] == {"ModelCacheSetting": "Enabled"}
    assert container["Image"] == "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0"
    assert {"Environment", "ContainerHostname"}.isdisjoint(container)
    model = resource(template, "AWS::SageMaker::Model")
    assert {"PrimaryContainer", "EnableNetworkIsolation", "VpcConfig", "ModelName"}.isdisjoint(model)
    found = only_variant(template)
    assert found.pop("ModelName") == {"Fn::GetAtt": [stack.get_logical_id(endpoint.model), "ModelName"]}
    assert found == {
        "VariantName": "AllTraffic",
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 1,
    }
    assert "EndpointConfigName" not in resource(template, "AWS::SageMaker::EndpointConfig")
    assert not warnings(stack)


def test_overrides(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(
        model_cache=False,
        environment={"KEY": "value"},
        container_hostname="models",
        instance_type="ml.c5.large",
        initial_instance_count=3,
        variant_name="blue",
        initial_variant_weight=0.5,
        volume_size=cdk.Size.tebibytes(0.5),
        model_data_download_timeout=cdk.Duration.minutes(30),
        container_startup_health_check_timeout=cdk.Duration.hours(1),
        network_isolation=True,
        endpoint_name="Mine",
    )
    template = Template.from_stack(stack)
    (container,) = containers(template)
    assert container["MultiModelConfig"] == {"ModelCacheSetting": "Disabled"}
    assert container["Environment"] == {"KEY": "value"}
    assert container["ContainerHostname"] == "models"
    found = only_variant(template)
    del found["ModelName"]
    assert found == {
        "VariantName": "blue",
        "InstanceType": "ml.c5.large",
        "InitialInstanceCount": 3,
        "InitialVariantWeight": 0.5,
        "VolumeSizeInGB": 512,
        "ModelDataDownloadTimeoutInSeconds": 1800,
        "ContainerStartupHealthCheckTimeoutInSeconds": 3600,
    }
    assert resource(template, "AWS::SageMaker::Model")["EnableNetworkIsolation"] is True
    assert resource(template, "AWS::SageMaker::Endpoint")["EndpointName"] == "Mine"


def test_collects_every_problem(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError) as caught:
        make_endpoint(
            environment={"1": "v"},
            instance_type="ml.inf2.xlarge",
            initial_instance_count=0,
            variant_name="all_traffic",
            initial_variant_weight=-1,
            volume_size=cdk.Size.gibibytes(513),
            model_data_download_timeout=cdk.Duration.seconds(59),
            container_startup_health_check_timeout=cdk.Duration.seconds(3601),
            endpoint_name="-",
            container_hostname="a_b",
        )
    arguments = {problem.split(" ")[0] for problem in caught.value.problems}
    assert arguments == {
        "environment",
        "instance_type",
        "initial_instance_count",
        "variant_name",
        "initial_variant_weight",
        "volume_size",
        "model_data_download_timeout",
        "container_startup_health_check_timeout",
        "endpoint_name",
        "container_hostname",
    }
    assert str(caught.value).startswith("Stack/Endpoint is not valid:\n  - ")
    assert isinstance(caught.value, ValueError)


def test_leaves_tokens_to_cloudformation(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    text = cdk.CfnParameter(stack, "Text").value_as_string
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    make_endpoint(
        environment={"KEY": text},
        container_hostname=text,
        instance_type=text,
        initial_instance_count=number,
        variant_name=text,
        initial_variant_weight=number,
        volume_size=cdk.Size.gibibytes(number),
        model_data_download_timeout=cdk.Duration.seconds(number),
        endpoint_name=text,
    )
    found = only_variant(Template.from_stack(stack))
    assert found["InstanceType"] == {"Ref": "Text"}
    assert found["InitialInstanceCount"] == {"Ref": "Number"}
    assert found["VolumeSizeInGB"] == {"Ref": "Number"}


def test_generates_a_stable_legal_name(make_endpoint: MakeEndpoint) -> None:
    app = cdk.App()
    names = [
        make_endpoint(cdk.Stack(app, stack_name), construct_id).endpoint_name
        for stack_name, construct_id in [("Stack", "Endpoint"), ("Stack" * 20, "Endpoint"), ("Other", "E-nd_point")]
    ]
    assert len(set(names)) == 3
    for name in names:
        assert name == name.lower()
        assert 0 < len(name) <= 63
    again = make_endpoint(cdk.Stack(cdk.App(), "Stack"), "Endpoint")
    assert again.endpoint_name == names[0]


def test_arn_is_a_literal_with_the_name_as_given(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint(endpoint_name="Mine")
    assert stack.resolve(endpoint.endpoint_arn) == {
        "Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sagemaker:us-west-2:123456789012:endpoint/Mine"]]
    }


def test_has_literal_construct_ids(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    ids = {child.node.id for child in endpoint.node.children}
    assert {construct_id for construct_id in ids if not construct_id.startswith("ModelPolicy")} == {
        "Role",
        "Model",
        "EndpointConfig",
        "Endpoint",
    }


class TestPipeline:
    def test_wraps_the_multi_model_container(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        make_endpoint(
            preprocessors=[PipelineContainer(image=InferenceImage.built_in("linear-learner"))],
            postprocessors=[
                PipelineContainer(image=KNN, model_data_url="s3://bucket/key.tar.gz", environment={"A": "1"})
            ],
        )
        template = Template.from_stack(stack)
        before, middle, after = containers(template)
        assert before == {"Image": "174872318107.dkr.ecr.us-west-2.amazonaws.com/linear-learner:1"}
        assert middle["Mode"] == "MultiModel"
        assert after == {
            "Image": "174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1",
            "ModelDataUrl": "s3://bucket/key.tar.gz",
            "Environment": {"A": "1"},
        }
        assert {"Ref": "AWS::Partition"} in json_values(statement(template, "s3:GetObject", "bucket/key.tar.gz"))

    def test_refuses_more_than_fifteen_containers(self, make_endpoint: MakeEndpoint) -> None:
        with pytest.raises(InvalidEndpointError, match="at most 15 containers with the multi-model one, got 16"):
            make_endpoint(
                preprocessors=[PipelineContainer(image=KNN)] * 8, postprocessors=[PipelineContainer(image=KNN)] * 7
            )


class TestRole:
    def test_may_do_no_more_than_hosting_needs(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        make_endpoint()
        statements = [
            found
            for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
            for found in policy["Properties"]["PolicyDocument"]["Statement"]
        ]
        actions = {action for found in statements for action in as_list(found["Action"])}
        assert actions == {
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "cloudwatch:PutMetricData",
            "s3:GetObject",
            "s3:ListBucket",
        }
        everything = {action for found in statements if found["Resource"] == "*" for action in as_list(found["Action"])}
        assert everything == {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}

    def test_is_for_sagemaker(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        make_endpoint()
        role = resource(Template.from_stack(stack), "AWS::IAM::Role")
        assert "ManagedPolicyArns" not in role
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}

    def test_model_waits_for_its_policy_and_the_first_artifact(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, model: Path
    ) -> None:
        store = ModelStore(stack, "Store", bucket=s3.Bucket.from_bucket_name(stack, "Imported", "bucket"))
        make_endpoint(model_store=store)
        first = store.add_model("first", model)
        store.add_model("second", model)
        template = Template.from_stack(stack)
        (found,) = template.find_resources("AWS::SageMaker::Model").values()
        policies = [key for key in template.find_resources("AWS::IAM::Policy") if key.startswith("Endpoint")]
        assert len(policies) == 2
        (upload,) = [
            key
            for key, value in template.find_resources("Custom::AWS").items()
            if first.target_model in json.dumps(value)
        ]
        assert sorted(found["DependsOn"]) == sorted([*policies, upload])

    def test_a_given_role_gets_the_permissions(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        role = iam.Role.from_role_arn(stack, "Given", "arn:aws:iam::123456789012:role/given")
        assert make_endpoint(role=role).role is role
        template = Template.from_stack(stack)
        template.resource_count_is("AWS::IAM::Role", 0)
        policies = template.find_resources("AWS::IAM::Policy")
        assert [policy["Properties"]["Roles"] for policy in policies.values()] == [["given"], ["given"]]
        assert not warnings(stack)
        (found,) = template.find_resources("AWS::SageMaker::Model").values()
        assert sorted(found["DependsOn"]) == sorted(policies)

    def test_warns_of_a_role_that_cannot_be_changed(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        make_endpoint(
            role=iam.Role.from_role_arn(stack, "Given", "arn:aws:iam::123456789012:role/given", mutable=False)
        )
        (warning,) = warnings(stack)
        assert "role can't be changed from here" in warning
        assert "[ack: cdk-multi-model-endpoint:rolePolicyNotAttached]" in warning

    def test_is_what_grants_go_to(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        endpoint = make_endpoint()
        s3.Bucket(stack, "Results").grant_put(endpoint)
        assert statement(Template.from_stack(stack), "s3:PutObject", "Results")


class TestWarnings:
    @pytest.mark.parametrize(
        ("arguments", "warning_id"),
        [
            ({"initial_instance_count": 1}, "singleInstance"),
            ({"instance_type": "ml.new9.xlarge"}, "unknownInstanceType"),
            ({"instance_type": "ml.g4dn.xlarge"}, "gpuImageNotTriton"),
            (
                {
                    "instance_type": "ml.g4dn.xlarge",
                    "image": InferenceImage.triton("24.09"),
                    "volume_size": cdk.Size.gibibytes(100),
                },
                "volumeSizeOnLocalStorage",
            ),
        ],
    )
    def test_can_be_acknowledged(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, arguments: dict[str, Any], warning_id: str
    ) -> None:
        endpoint = make_endpoint(**arguments)
        (warning,) = warnings(stack)
        assert f"[ack: cdk-multi-model-endpoint:{warning_id}]" in warning
        cdk.Annotations.of(endpoint).acknowledge_warning(f"cdk-multi-model-endpoint:{warning_id}")
        assert not warnings(stack)


def test_two_endpoints_of_a_region_agnostic_stack_share_one_table(make_endpoint: MakeEndpoint) -> None:
    stack = cdk.Stack(cdk.App(), "Agnostic")
    make_endpoint(stack, "One")
    make_endpoint(stack, "Two", image=InferenceImage.built_in("xgboost", "1.7-1"))
    make_endpoint(stack, "Three", image=KNN)
    assert set(Template.from_stack(stack).to_json()["Mappings"]) == {
        "SageMakerFrameworksAccounts",
        "SageMakerAlgorithmsAccounts",
    }


def model_policies(prefix: str = "models/", image: InferenceImage = KNN) -> set[str]:
    """The logical ids of the policies that a model's images and artifacts are read by."""
    stack = cdk.Stack(cdk.App(), "Stack")
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", cdk.CfnParameter(stack, "Name").value_as_string)
    MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(image=image, model_store=ModelStore(stack, "M", bucket=bucket, prefix=prefix)),
        instance_type="ml.m5.xlarge",
    )
    return {key for key in Template.from_stack(stack).find_resources("AWS::IAM::Policy") if "ModelPolicy" in key}


def test_what_a_model_may_read_is_a_new_policy_when_it_changes() -> None:
    # CloudFormation deletes the old one last, so that the old fleet can load models until the new one has its traffic
    before = model_policies()
    assert len(before) == 1
    assert model_policies() == before
    assert model_policies(prefix="other/") != before
    assert model_policies(image=InferenceImage.built_in("linear-learner")) != before


def test_adding_a_model_adds_one_resource_and_changes_no_other(model: Path) -> None:
    def synthesize(*names: str) -> dict[str, Any]:
        stack = cdk.Stack(cdk.App(), "Stack")
        store = ModelStore(stack, "Models")
        for name in names:
            store.add_model(name, model)
        MultiModelEndpoint(
            stack,
            "Endpoint",
            container=MultiModelContainer(image=KNN, model_store=store),
            instance_type="ml.m5.xlarge",
        )
        return dict(Template.from_stack(stack).to_json())

    before, after = synthesize("a"), synthesize("a", "b")
    added = after["Resources"].keys() - before["Resources"].keys()
    assert [after["Resources"].pop(key)["Type"] for key in added] == ["Custom::AWS"]
    assert after == before


def statement(template: Template, action: str, text: str) -> dict[str, Any]:
    """The one statement that allows an action on a resource with a text in it."""
    (found,) = [
        candidate
        for policy in template.find_resources("AWS::IAM::Policy").values()
        for candidate in policy["Properties"]["PolicyDocument"]["Statement"]
        if action in as_list(candidate["Action"]) and text in json.dumps(candidate["Resource"])
    ]
    result: dict[str, Any] = found
    return result


def json_values(value: Any) -> list[Any]:
    """Every value inside a JSON document."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(found for child in children for found in json_values(child))]
