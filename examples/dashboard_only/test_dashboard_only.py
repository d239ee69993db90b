"""The app's template, and that what it makes looks at the endpoint of others."""

from __future__ import annotations

import time
from typing import Any

from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_no_endpoint_is_made(template: Any) -> None:
    assert not [each for each in template["Resources"].values() if each["Type"].startswith("AWS::SageMaker")]


def test_the_dashboard_is_there(aws: LocalEndpoint, outputs: dict[str, str]) -> None:
    found = aws.client("cloudwatch").get_dashboard(DashboardName=outputs["DashboardName"])
    assert '"theirs"' in found["DashboardBody"]


def test_the_alarm_is_raised_when_calls_of_that_endpoint_fail(aws: LocalEndpoint, outputs: dict[str, str]) -> None:
    cloudwatch = aws.client("cloudwatch")

    def fail(endpoint: str) -> str:
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]
        datum = {"MetricName": "Invocation5XXErrors", "Dimensions": dimensions, "Value": 1, "Timestamp": time.time()}
        cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=[outputs["AlarmName"]])["MetricAlarms"]
        return str(alarm["StateValue"])

    assert fail("another") != "ALARM"
    assert fail("theirs") == "ALARM"
