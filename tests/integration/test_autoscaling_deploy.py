"""An autoscaled endpoint, deployed, scaled, changed and destroyed by the real CDK CLI."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .autoscaled import ENDPOINT, RESOURCE, STACK, TARGET_VALUE
from .conftest import Account

HERE = Path(__file__).parent
APP = ("--app", f"{sys.executable} {HERE / 'autoscaled.py'}")


@pytest.fixture(scope="module")
def account(make_account: Callable[[str], Account]) -> Account:
    return make_account("eu-west-1")


def describe(account: Account) -> dict[str, Any]:
    scaling, sagemaker = account.client("application-autoscaling"), account.client("sagemaker")
    named = {"ServiceNamespace": "sagemaker", "ResourceId": RESOURCE}
    endpoints = [found["EndpointName"] for found in sagemaker.list_endpoints()["Endpoints"]]
    return {
        "targets": scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"],
        "policies": scaling.describe_scaling_policies(**named)["ScalingPolicies"],
        "actions": scaling.describe_scheduled_actions(**named)["ScheduledActions"],
        "endpoint": sagemaker.describe_endpoint(EndpointName=ENDPOINT) if ENDPOINT in endpoints else None,
    }


def instances(found: dict[str, Any]) -> int:
    (variant,) = found["endpoint"]["ProductionVariants"]
    count: int = variant["CurrentInstanceCount"]
    return count


def traffic(account: Account, invocations_per_instance: float) -> None:
    """What SageMaker would have counted."""
    dimensions = [{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": "AllTraffic"}]
    datum = {"MetricName": "InvocationsPerInstance", "Dimensions": dimensions, "Value": invocations_per_instance}
    account.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])


@pytest.fixture(scope="module")
def story(account: Account, eventually: Callable[..., Any]) -> dict[str, Any]:
    """What there was after each step, and what the CLI said when SageMaker refused one."""
    steps: dict[str, Any] = {}

    def deploy(step: str, *context: str) -> None:
        account.deploy(*APP, *(argument for setting in context for argument in ("--context", setting)), cwd=HERE)
        steps[step] = describe(account)

    deploy("deployed")
    steps["outputs"] = account.outputs(STACK)
    traffic(account, 3 * TARGET_VALUE)
    eventually(lambda: instances(describe(account)) == 3)
    activities = account.client("application-autoscaling").describe_scaling_activities(ServiceNamespace="sagemaker")
    steps["activities"] = activities["ScalingActivities"]
    deploy("another maximum", "max=6")
    deploy("another model", "max=6", "image=linear-learner")
    other_type = ("max=6", "image=linear-learner", "instance_type=ml.m5.xlarge")
    with pytest.raises(AssertionError) as refusal:
        deploy("refused", *other_type)
    steps["refusal"] = str(refusal.value)
    steps["refused"] = describe(account)
    # the two deployments that another instance type takes
    deploy("not scaled", *other_type[:2], "scaled=no")
    deploy("another type", *other_type)
    account.cdk("destroy", "--all", "--force", *APP, cwd=HERE)
    steps["destroyed"] = describe(account)
    return steps


def test_target_policy_and_schedule_are_the_templates(story: dict[str, Any]) -> None:
    found = story["deployed"]
    (target,), (policy,), (action,) = found["targets"], found["policies"], found["actions"]
    assert (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"]) == (RESOURCE, 1, 4)
    assert story["outputs"]["TargetId"] == f"{RESOURCE}|sagemaker:variant:DesiredInstanceCount|sagemaker"
    assert policy["PolicyName"] == "Load"
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == TARGET_VALUE
    assert (action["Schedule"], action["Timezone"]) == ("cron(0 8 ? * MON-FRI *)", "Europe/Berlin")
    assert action["ScalableTargetAction"] == {"MinCapacity": 2}
    assert instances(found) == 1


def test_traffic_scales_out(story: dict[str, Any]) -> None:
    (activity,) = story["activities"]
    assert activity["StatusCode"] == "Successful"
    assert activity["Description"] == "Setting desired instance count to 3."
    assert activity["Cause"].endswith("with a target of 60 triggered policy Load")


@pytest.mark.parametrize("step", ["another maximum", "another model"])
def test_changes_keep_target_policy_and_live_count(story: dict[str, Any], step: str) -> None:
    before, after = story["deployed"], story[step]
    assert after["targets"][0]["MaxCapacity"] == 6
    for kind, name in (("targets", "ScalableTargetARN"), ("policies", "PolicyARN"), ("actions", "ScheduledActionARN")):
        assert [found[name] for found in after[kind]] == [found[name] for found in before[kind]]
    assert after["endpoint"]["CreationTime"] == before["endpoint"]["CreationTime"]
    assert instances(after) == 3


def test_another_instance_type_is_refused_and_nothing_changes(story: dict[str, Any]) -> None:
    assert 'The variant(s) "AllTraffic" must be deregistered as a scalable target' in story["refusal"]
    before, after = story["another model"], story["refused"]
    assert after["endpoint"]["EndpointConfigName"] == before["endpoint"]["EndpointConfigName"]
    assert after["targets"] == before["targets"]


def test_another_instance_type_takes_two_deployments(story: dict[str, Any]) -> None:
    assert story["not scaled"]["targets"] == []
    after = story["another type"]
    assert after["endpoint"]["EndpointConfigName"] != story["refused"]["endpoint"]["EndpointConfigName"]
    assert after["endpoint"]["CreationTime"] == story["deployed"]["endpoint"]["CreationTime"]
    assert [target["ResourceId"] for target in after["targets"]] == [RESOURCE]


def test_destroy_leaves_nothing(story: dict[str, Any]) -> None:
    assert story["destroyed"] == {"targets": [], "policies": [], "actions": [], "endpoint": None}
