"""Images in a Docker registry that the endpoint's VPC reaches."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InferenceImage, InvalidEndpointError, PipelineContainer

from .conftest import MakeEndpoint, resource

URI = "registry.example.com/team/server:1"


@pytest.fixture
def vpc(stack: cdk.Stack) -> ec2.Vpc:
    return ec2.Vpc(stack, "Vpc", max_azs=2)


def test_is_pulled_through_the_vpc(stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc) -> None:
    make_endpoint(image=InferenceImage.from_private_registry(URI), vpc=vpc)
    template = Template.from_stack(stack)
    (container,) = resource(template, "AWS::SageMaker::Model")["Containers"]
    assert container["Image"] == URI
    assert container["ImageConfig"] == {"RepositoryAccessMode": "Vpc"}
    assert "ecr:BatchGetImage" not in str(template.find_resources("AWS::IAM::Policy"))


def test_with_credentials_from_a_function(stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc) -> None:
    arn = "arn:aws:lambda:us-west-2:123456789012:function:credentials"
    function = lambda_.Function.from_function_attributes(stack, "Credentials", function_arn=arn, same_environment=True)
    private = InferenceImage.from_private_registry(URI, credentials_provider=function)
    make_endpoint(
        vpc=vpc, preprocessors=[PipelineContainer(image=private)], postprocessors=[PipelineContainer(image=private)]
    )
    template = Template.from_stack(stack)
    before, own, after = resource(template, "AWS::SageMaker::Model")["Containers"]
    assert (
        before["ImageConfig"]
        == after["ImageConfig"]
        == {
            "RepositoryAccessMode": "Vpc",
            "RepositoryAuthConfig": {"RepositoryCredentialsProviderArn": arn},
        }
    )
    assert "ImageConfig" not in own
    assert str(template.find_resources("AWS::IAM::Policy")).count("lambda:InvokeFunction") == 1


def test_needs_a_vpc(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError, match="is in a private registry, which needs a vpc"):
        make_endpoint(image=InferenceImage.from_private_registry(URI))


@pytest.mark.parametrize("uri", ["", "server:1", "registry.example.com/", "a b/c", "r/" + "x" * 254])
def test_refuses_what_is_no_uri(uri: str) -> None:
    with pytest.raises(InvalidEndpointError, match="uri must be 'host/name:tag'"):
        InferenceImage.from_private_registry(uri)


def test_leaves_a_token_to_cloudformation(stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc) -> None:
    uri = cdk.CfnParameter(stack, "Uri").value_as_string
    make_endpoint(image=InferenceImage.from_private_registry(uri), vpc=vpc)
    (container,) = resource(Template.from_stack(stack), "AWS::SageMaker::Model")["Containers"]
    assert container["Image"] == {"Ref": "Uri"}
