"""Who may invoke an endpoint, made here or imported."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InvalidEndpointError, MultiModelEndpoint

from .conftest import MakeEndpoint

ARN = "arn:aws:sagemaker:us-west-2:123456789012:endpoint/"


@pytest.fixture
def role(stack: cdk.Stack) -> iam.Role:
    return iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())


def granted(stack: cdk.Stack) -> dict[str, Any]:
    (found,) = [
        statement
        for logical_id, policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").items()
        if logical_id.startswith("Caller")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]
    result: dict[str, Any] = found
    return result


def test_grants_all_models(stack: cdk.Stack, make_endpoint: MakeEndpoint, role: iam.Role) -> None:
    endpoint = make_endpoint()
    endpoint.grant_invoke(role).assert_success()
    assert granted(stack) == {
        "Action": "sagemaker:InvokeEndpoint",
        "Effect": "Allow",
        "Resource": stack.resolve(endpoint.endpoint_arn),
    }


def test_grants_some_models(stack: cdk.Stack, make_endpoint: MakeEndpoint, role: iam.Role) -> None:
    patterns = ["tenant_a/*", "${aws:PrincipalTag/tenant}/*"]
    make_endpoint().grant_invoke(role, target_models=patterns)
    assert granted(stack)["Condition"] == {"StringLike": {"sagemaker:TargetModel": patterns}}


@pytest.mark.parametrize(
    ("target_models", "problem"),
    [
        ([], "must not be empty"),
        ([""], "1 to 1024 characters, got 0"),
        (["a" * 1025], "1 to 1024 characters, got 1025"),
        ([" a"], "don't start with a blank"),
        (["ok", "/a", "/b"], "/b"),
    ],
)
def test_refuses_patterns_that_match_nothing(
    make_endpoint: MakeEndpoint, role: iam.Role, target_models: list[str], problem: str
) -> None:
    with pytest.raises(InvalidEndpointError, match=problem.replace("*", r"\*")):
        make_endpoint().grant_invoke(role, target_models=target_models)


def test_leaves_a_token_to_cloudformation(stack: cdk.Stack, make_endpoint: MakeEndpoint, role: iam.Role) -> None:
    make_endpoint().grant_invoke(role, target_models=[cdk.CfnParameter(stack, "Pattern").value_as_string])
    assert granted(stack)["Condition"] == {"StringLike": {"sagemaker:TargetModel": [{"Ref": "Pattern"}]}}


def test_a_name_with_capitals_is_granted_in_both_spellings(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, role: iam.Role
) -> None:
    make_endpoint(endpoint_name="Mine").grant_invoke(role)
    names = [part["Fn::Join"][1][-1].rpartition("/")[2] for part in granted(stack)["Resource"]]
    assert names == ["Mine", "mine"]


class TestImported:
    def test_by_name(self, stack: cdk.Stack, role: iam.Role) -> None:
        endpoint = MultiModelEndpoint.from_endpoint_name(stack, "Imported", "theirs")
        endpoint.grant_invoke(role, target_models=["a"])
        assert endpoint.endpoint_name == "theirs"
        assert granted(stack)["Resource"]["Fn::Join"][1][-1].endswith(":endpoint/theirs")

    def test_by_arn(self, stack: cdk.Stack, role: iam.Role) -> None:
        endpoint = MultiModelEndpoint.from_endpoint_arn(stack, "Imported", f"{ARN}theirs")
        endpoint.grant_invoke(role)
        assert endpoint.endpoint_name == "theirs"
        assert granted(stack)["Resource"] == f"{ARN}theirs"

    def test_by_a_token(self, stack: cdk.Stack, role: iam.Role) -> None:
        arn = cdk.CfnParameter(stack, "Arn").value_as_string
        endpoint = MultiModelEndpoint.from_endpoint_arn(stack, "Imported", arn)
        endpoint.grant_invoke(role)
        assert granted(stack)["Resource"] == {"Ref": "Arn"}
        assert "Fn::Select" in stack.resolve(endpoint.endpoint_name)

    def test_has_the_metrics_of_its_variants(self, stack: cdk.Stack) -> None:
        endpoint = MultiModelEndpoint.from_endpoint_name(stack, "Imported", "theirs")
        metric = endpoint.find_variant("AllTraffic").metric_invocations()
        assert metric.dimensions == {"EndpointName": "theirs", "VariantName": "AllTraffic"}

    @pytest.mark.parametrize("name", ["", "a_b"])
    def test_refuses_what_is_no_name(self, stack: cdk.Stack, name: str) -> None:
        with pytest.raises(InvalidEndpointError, match="endpoint_name must be"):
            MultiModelEndpoint.from_endpoint_name(stack, "Imported", name)
