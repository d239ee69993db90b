"""Scalable targets and policies of stacks, over the real CloudFormation API."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

Template = dict[str, Any]

NUMBERS = itertools.count(1)
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
ADDRESS = {"ServiceNamespace": "sagemaker", "ScalableDimension": DIMENSION}
NIGHT = {
    "ScheduledActionName": "night",
    "Schedule": "cron(0 22 * * ? *)",
    "Timezone": "Europe/Berlin",
    "EndTime": "2099-01-01T00:00:00Z",
    "ScalableTargetAction": {"MinCapacity": "1", "MaxCapacity": "2"},
}


class Stack:
    """A stack with a target, a policy and a plain string, for an endpoint that is there."""

    def __init__(self, control_plane: Any, eventually: Callable[..., Any]) -> None:
        self.name = f"Scaled{next(NUMBERS)}"
        self.endpoint = f"scaled-{self.name.lower()}"
        self.resource = f"endpoint/{self.endpoint}/variant/V"
        self.client = control_plane.client("cloudformation")
        self.scaling = control_plane.client("application-autoscaling")
        self.sagemaker = control_plane.client("sagemaker")
        self.eventually = eventually
        self.sagemaker.create_model(ModelName=self.name, PrimaryContainer={"Image": "i"})
        variant = {"VariantName": "V", "ModelName": self.name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
        self.sagemaker.create_endpoint_config(EndpointConfigName=self.name, ProductionVariants=[variant])
        self.sagemaker.create_endpoint(EndpointName=self.endpoint, EndpointConfigName=self.name)
        eventually(lambda: self.described()["EndpointStatus"] == "InService")

    def template(self) -> Template:
        metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        return {
            "Resources": {
                "Target": {
                    "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
                    "Properties": {
                        **ADDRESS,
                        "ResourceId": self.resource,
                        "MinCapacity": "2",
                        "MaxCapacity": 4,
                        "ScheduledActions": [NIGHT],
                        "Tags": [{"Key": "team", "Value": "a"}],
                    },
                },
                "Policy": {
                    "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
                    "Properties": {
                        "PolicyName": "load",
                        "PolicyType": "TargetTrackingScaling",
                        "ScalingTargetId": {"Ref": "Target"},
                        "TargetTrackingScalingPolicyConfiguration": {
                            "TargetValue": "70.5",
                            "DisableScaleIn": "true",
                            "PredefinedMetricSpecification": metric,
                        },
                    },
                },
            },
            "Outputs": {
                "Target": {"Value": {"Ref": "Target"}},
                "TargetId": {"Value": {"Fn::GetAtt": ["Target", "Id"]}},
                "Policy": {"Value": {"Ref": "Policy"}},
                "PolicyArn": {"Value": {"Fn::GetAtt": ["Policy", "Arn"]}},
            },
        }

    def create(self, template: Template) -> str:
        self.client.create_stack(StackName=self.name, TemplateBody=json.dumps(template))
        return self.settled()

    def update(self, template: Template) -> str:
        self.client.update_stack(StackName=self.name, TemplateBody=json.dumps(template))
        return self.settled()

    def settled(self) -> str:
        def status() -> str | None:
            found: str = self.client.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            return None if found.endswith("_IN_PROGRESS") else found

        final: str = self.eventually(status)
        return final

    def outputs(self) -> dict[str, str]:
        (stack,) = self.client.describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def reasons(self) -> str:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)

    def described(self) -> dict[str, Any]:
        return self.sagemaker.describe_endpoint(EndpointName=self.endpoint)  # type: ignore[no-any-return]

    def targets(self) -> list[dict[str, Any]]:
        answer = self.scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[self.resource])
        return answer["ScalableTargets"]  # type: ignore[no-any-return]

    def policies(self) -> list[dict[str, Any]]:
        answer = self.scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=self.resource)
        return answer["ScalingPolicies"]  # type: ignore[no-any-return]

    def actions(self) -> list[dict[str, Any]]:
        answer = self.scaling.describe_scheduled_actions(ServiceNamespace="sagemaker", ResourceId=self.resource)
        return answer["ScheduledActions"]  # type: ignore[no-any-return]

    def tags(self) -> dict[str, str]:
        (target,) = self.targets()
        return self.scaling.list_tags_for_resource(ResourceARN=target["ScalableTargetARN"])["Tags"]  # type: ignore[no-any-return]


@pytest.fixture
def stack(control_plane: Any, eventually: Callable[..., Any]) -> Stack:
    return Stack(control_plane, eventually)


def changed(template: Template, logical_id: str, **properties: Any) -> Template:
    copied = copy.deepcopy(template)
    copied["Resources"][logical_id]["Properties"].update(properties)
    return copied


def test_creates_and_deletes(stack: Stack) -> None:
    assert stack.create(stack.template()) == "CREATE_COMPLETE", stack.reasons()
    (target,), (policy,), (action,) = stack.targets(), stack.policies(), stack.actions()
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 4)
    assert stack.tags() == {"team": "a"}
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 70.5
    assert policy["TargetTrackingScalingPolicyConfiguration"]["DisableScaleIn"] is True
    assert action["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 2}
    assert action["EndTime"].isoformat() == "2099-01-01T00:00:00+00:00"
    target_id = f"{stack.resource}|{DIMENSION}|sagemaker"
    arn = policy["PolicyARN"]
    assert stack.outputs() == {"Target": target_id, "TargetId": target_id, "Policy": arn, "PolicyArn": arn}
    stack_id = stack.client.describe_stacks(StackName=stack.name)["Stacks"][0]["StackId"]
    stack.client.delete_stack(StackName=stack.name)
    describe = stack.client.describe_stacks
    stack.eventually(lambda: describe(StackName=stack_id)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE")
    assert stack.targets() == []


def test_changes_bounds_policy_actions_and_tags_in_place(stack: Stack) -> None:
    template = stack.template()
    stack.create(template)
    before, (target,) = stack.outputs(), stack.targets()
    weekend = {**NIGHT, "ScheduledActionName": "weekend"}
    tracking = template["Resources"]["Policy"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    new = changed(
        changed(
            template,
            "Target",
            MinCapacity=3,
            SuspendedState={"ScheduledScalingSuspended": "true"},
            ScheduledActions=[weekend],
            Tags=[{"Key": "stage", "Value": "b"}],
        ),
        "Policy",
        TargetTrackingScalingPolicyConfiguration={**tracking, "TargetValue": 80},
    )
    assert stack.update(new) == "UPDATE_COMPLETE", stack.reasons()
    assert stack.outputs() == before
    (changed_target,), (policy,), (action,) = stack.targets(), stack.policies(), stack.actions()
    assert changed_target["ScalableTargetARN"] == target["ScalableTargetARN"]
    assert (changed_target["MinCapacity"], changed_target["MaxCapacity"]) == (3, 4)
    assert changed_target["SuspendedState"]["ScheduledScalingSuspended"] is True
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 80
    assert action["ScheduledActionName"] == "weekend"
    assert stack.tags() == {"stage": "b"}
    # the minimum is kept at once
    assert stack.described()["ProductionVariants"][0]["DesiredInstanceCount"] == 3
    assert stack.update(template) == "UPDATE_COMPLETE", stack.reasons()
    assert stack.targets()[0]["SuspendedState"]["ScheduledScalingSuspended"] is False


def test_another_policy_name_is_another_policy_and_needs_another_metric(stack: Stack) -> None:
    template = stack.template()
    stack.create(template)
    before = stack.outputs()["Policy"]
    assert stack.update(changed(template, "Policy", PolicyName="other")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Only one TargetTrackingScaling policy for a given metric" in stack.reasons()
    assert [policy["PolicyName"] for policy in stack.policies()] == ["load"]
    custom = {"MetricName": "M", "Namespace": "N", "Statistic": "Average"}
    tracking = {"TargetValue": 1, "CustomizedMetricSpecification": custom}
    new = changed(template, "Policy", PolicyName="other", TargetTrackingScalingPolicyConfiguration=tracking)
    assert stack.update(new) == "UPDATE_COMPLETE", stack.reasons()
    assert [policy["PolicyName"] for policy in stack.policies()] == ["other"]
    assert stack.outputs()["Policy"] != before


@pytest.mark.parametrize(
    ("logical_id", "properties", "reason"),
    [
        ("Target", {"ResourceId": "endpoint/nope/variant/V"}, "Could not find endpoint nope"),
        ("Target", {"MinCapacity": 9}, "Maximum capacity cannot be less than minimum capacity"),
        ("Target", {"Colour": "red"}, "Encountered unsupported property Colour"),
        ("Target", {"ScheduledActions": [{**NIGHT, "Schedule": "daily"}]}, "Invalid schedule expression: daily"),
        ("Target", {"ScheduledActions": [{**NIGHT, "StartTime": "soon"}]}, "must be of type timestamp, got 'soon'"),
        ("Policy", {"ScalingTargetId": "nonsense"}, "nonsense is not the id of a scalable target"),
        ("Policy", {**ADDRESS, "ResourceId": "x"}, "Either ScalingTargetId or all three of"),
    ],
)
def test_failures_are_told_and_leave_nothing(
    stack: Stack, logical_id: str, properties: dict[str, Any], reason: str
) -> None:
    assert stack.create(changed(stack.template(), logical_id, **properties)) == "ROLLBACK_COMPLETE"
    assert reason in stack.reasons()
    assert stack.targets() == []


def test_a_target_that_is_registered_already_belongs_to_somebody_else(stack: Stack) -> None:
    address = {**ADDRESS, "ResourceId": stack.resource}
    stack.scaling.register_scalable_target(**address, MinCapacity=1, MaxCapacity=7)
    assert stack.create(stack.template()) == "ROLLBACK_COMPLETE"
    assert f"{stack.resource}|{DIMENSION}|sagemaker already exists" in stack.reasons()
    assert stack.targets()[0]["MaxCapacity"] == 7


def test_a_policy_may_name_the_resource_and_step(stack: Stack) -> None:
    template = stack.template()
    template["Resources"]["Policy"] = {
        "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
        "DependsOn": "Target",
        "Properties": {
            **ADDRESS,
            "ResourceId": stack.resource,
            "PolicyName": "steps",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "Cooldown": "60",
                "StepAdjustments": [{"MetricIntervalLowerBound": "0", "ScalingAdjustment": "1"}],
            },
        },
    }
    assert stack.create(template) == "CREATE_COMPLETE", stack.reasons()
    (policy,) = stack.policies()
    (step,) = policy["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert step == {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
