"""The alarms of target tracking policies, in the real CloudWatch of a served endpoint and next to the service alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ADDRESS = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
NUMBERS = itertools.count(1)
METRIC = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


class Scaled:
    """An endpoint whose variant is a scalable target."""

    def __init__(self, control_plane: Any, name: str, eventually: Callable[..., Any]) -> None:
        self.name = name
        self.cloudwatch = control_plane.client("cloudwatch")
        self.scaling = control_plane.client("application-autoscaling")
        self.sagemaker = control_plane.client("sagemaker")
        self.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": "i"})
        variant = {"VariantName": "V", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        described = self.sagemaker.describe_endpoint
        eventually(lambda: described(EndpointName=name)["EndpointStatus"] == "InService")
        self.address = {**ADDRESS, "ResourceId": f"endpoint/{name}/variant/V"}
        self.register()

    def register(self) -> None:
        self.scaling.register_scalable_target(**self.address, MinCapacity=1, MaxCapacity=4)

    def track(self, target: float = 60, **more: Any) -> dict[str, Any]:
        configuration = {"TargetValue": target, "PredefinedMetricSpecification": METRIC, **more}
        answer: dict[str, Any] = self.scaling.put_scaling_policy(
            **self.address,
            PolicyName="load",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )
        return answer

    def alarms(self) -> dict[str, dict[str, Any]]:
        """Those of its policies, high before low."""
        prefix = f"TargetTracking-endpoint/{self.name}/variant/V-"
        found = self.cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
        return {alarm["AlarmName"]: alarm for alarm in found}


@pytest.fixture
def scaled(control_plane: Any, eventually: Callable[..., Any]) -> Iterator[Scaled]:
    scaled = Scaled(control_plane, f"alarmed-{next(NUMBERS)}", eventually)
    yield scaled
    for policy in scaled.scaling.describe_scaling_policies(**scaled.address)["ScalingPolicies"]:
        scaled.scaling.delete_scaling_policy(**scaled.address, PolicyName=policy["PolicyName"])


def test_a_policy_makes_its_two_alarms_and_names_them(scaled: Scaled) -> None:
    answer = scaled.track(60)
    high, low = scaled.alarms().values()
    named = [{"AlarmName": alarm["AlarmName"], "AlarmARN": alarm["AlarmArn"]} for alarm in (high, low)]
    assert answer["Alarms"] == named
    (policy,) = scaled.scaling.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=["load"])[
        "ScalingPolicies"
    ]
    assert policy["Alarms"] == named
    for alarm, kind, comparison, threshold, minutes in (
        (high, "AlarmHigh", "GreaterThanThreshold", 60, 3),
        (low, "AlarmLow", "LessThanThreshold", 54, 15),
    ):
        assert kind in alarm["AlarmName"]
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == (comparison, threshold)
        assert (alarm["Period"], alarm["EvaluationPeriods"]) == (60, minutes)
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SageMaker", "InvocationsPerInstance")
        assert (alarm["Statistic"], alarm["AlarmActions"]) == ("Sum", [answer["PolicyARN"]])
        assert {"Name": "EndpointName", "Value": scaled.name} in alarm["Dimensions"]


def test_a_changed_policy_changes_its_alarms(scaled: Scaled) -> None:
    scaled.track(60)
    answer = scaled.track(100, DisableScaleIn=True)
    (alarm,) = scaled.alarms().values()
    assert alarm["Threshold"] == 100
    assert [named["AlarmName"] for named in answer["Alarms"]] == [alarm["AlarmName"]]


def test_an_alarm_shows_the_state_of_the_metric(scaled: Scaled) -> None:
    scaled.track(60)
    dimensions = [{"Name": "EndpointName", "Value": scaled.name}, {"Name": "VariantName", "Value": "V"}]
    datum = {"MetricName": "InvocationsPerInstance", "Dimensions": dimensions, "Value": 90.0}
    minutes = [{**datum, "Timestamp": time.time() - 60 * ago} for ago in range(4)]
    scaled.cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=minutes)
    high, low = scaled.alarms().values()
    assert (high["StateValue"], low["StateValue"]) == ("ALARM", "OK")


@pytest.mark.parametrize("end", ["delete_scaling_policy", "deregister_scalable_target", "delete_endpoint"])
def test_alarms_go_with_their_policy(scaled: Scaled, eventually: Callable[..., Any], end: str) -> None:
    scaled.track()
    assert len(scaled.alarms()) == 2
    if end == "delete_endpoint":
        scaled.sagemaker.delete_endpoint(EndpointName=scaled.name)
    elif end == "deregister_scalable_target":
        scaled.scaling.deregister_scalable_target(**scaled.address)
    else:
        scaled.scaling.delete_scaling_policy(**scaled.address, PolicyName="load")
    eventually(lambda: scaled.alarms() == {})


def test_a_step_policy_names_the_alarms_that_trigger_it(scaled: Scaled) -> None:
    steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 1}]}
    arn = scaled.scaling.put_scaling_policy(
        **scaled.address, PolicyName="steps", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps
    )["PolicyARN"]
    own = {"Namespace": "N", "MetricName": "M", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    alarm = f"mine-{scaled.name}"
    comparison = {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    scaled.cloudwatch.put_metric_alarm(AlarmName=alarm, AlarmActions=[arn], **own, **comparison)
    policies = scaled.scaling.describe_scaling_policies(**scaled.address)["ScalingPolicies"]
    assert [named["AlarmName"] for named in policies[0]["Alarms"]] == [alarm]
    scaled.scaling.delete_scaling_policy(**scaled.address, PolicyName="steps")
    left = scaled.cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    scaled.cloudwatch.delete_alarms(AlarmNames=[alarm])
    assert [found["AlarmName"] for found in left] == [alarm], "the user's own alarm stays"
