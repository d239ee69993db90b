"""The endpoint's log group: SageMaker's own, or one with a retention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_logs as logs
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InvalidEndpointError

from .conftest import MakeEndpoint

GROUP = "AWS::Logs::LogGroup"


def only(template: Template, resource_type: str) -> tuple[str, Mapping[str, Any]]:
    (found,) = template.find_resources(resource_type).items()
    return found


def test_the_log_group_is_sagemakers_own_unless_told_otherwise(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    assert make_endpoint().log_group is None
    Template.from_stack(stack).resource_count_is(GROUP, 0)


def test_a_retention_makes_the_log_group_that_sagemaker_would_make(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    endpoint = make_endpoint(endpoint_name="Mine", log_retention=logs.RetentionDays.ONE_WEEK)
    template = Template.from_stack(stack)
    (logical_id, group) = only(template, GROUP)
    assert group["Properties"] == {"LogGroupName": "/aws/sagemaker/Endpoints/Mine", "RetentionInDays": 7}
    assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    _, created = only(template, "AWS::SageMaker::Endpoint")
    assert logical_id in created["DependsOn"], "the group is there before the first output"
    assert endpoint.log_group is not None
    assert stack.resolve(endpoint.log_group.log_group_name) == {"Ref": logical_id}


def test_what_becomes_of_the_log_group_is_the_users_choice(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(log_retention=logs.RetentionDays.INFINITE, log_removal_policy=cdk.RemovalPolicy.DESTROY)
    _, group = only(Template.from_stack(stack), GROUP)
    assert group["DeletionPolicy"] == "Delete"
    assert "RetentionInDays" not in group["Properties"]


def test_a_name_from_a_parameter_names_the_log_group(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    name = cdk.CfnParameter(stack, "Name")
    make_endpoint(endpoint_name=name.value_as_string, log_retention=logs.RetentionDays.ONE_DAY)
    _, group = only(Template.from_stack(stack), GROUP)
    assert group["Properties"]["LogGroupName"] == {"Fn::Join": ["", ["/aws/sagemaker/Endpoints/", {"Ref": "Name"}]]}


def test_a_removal_policy_needs_a_log_group_of_the_stack(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(
        InvalidEndpointError, match=r"log_removal_policy needs log_retention, got RemovalPolicy\.DESTROY"
    ):
        make_endpoint(log_removal_policy=cdk.RemovalPolicy.DESTROY)
