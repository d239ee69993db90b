"""What the scaler reads is what the local CloudWatch has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mme_local.autoscaling.metrics import Alarm, LocalCloudWatch, Metric
from mme_local.aws.scope import Scope

SCOPE = Scope("000000000000", "us-east-1")
DIMENSIONS = (("EndpointName", "read"), ("VariantName", "V"))


@pytest.fixture
def local(control_plane: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloudWatch]:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, control_plane.environment[name])
    cloudwatch = LocalCloudWatch()
    yield cloudwatch
    cloudwatch.close()


@pytest.fixture
def publish(control_plane: Any) -> Callable[..., None]:
    client = control_plane.client("cloudwatch")

    def put(name: str, value: float, at: float, dimensions: tuple[tuple[str, str], ...] = DIMENSIONS) -> None:
        named = [{"Name": key, "Value": text} for key, text in dimensions]
        datum = {"MetricName": name, "Dimensions": named, "Value": value, "Timestamp": at}
        client.put_metric_data(Namespace="Mine", MetricData=[datum])

    return put


async def test_a_minute_that_is_not_the_clocks(local: LocalCloudWatch, publish: Callable[..., None]) -> None:
    # half a minute into one of the clock's
    end = time.time() // 60 * 60 - 30
    for seconds, value in ((-61, 100.0), (-59, 1.0), (-31, 2.0), (-29, 3.0), (-1, 6.0), (1, 100.0)):
        publish("Spread", value, end + seconds)
    publish("Spread", 100.0, end - 1, (*DIMENSIONS, ("EndpointConfigName", "C")))

    async def read(statistic: str, name: str = "Spread") -> float | None:
        return await local.value(SCOPE, Metric("Mine", name, DIMENSIONS, statistic), end)

    found = {name: await read(name) for name in ("Sum", "Average", "Minimum", "Maximum", "SampleCount")}
    assert found == {"Sum": 12.0, "Average": 3.0, "Minimum": 1.0, "Maximum": 6.0, "SampleCount": 4.0}
    assert await read("Sum", "Nothing") is None


async def test_alarms_that_fire(local: LocalCloudWatch, control_plane: Any, publish: Callable[..., None]) -> None:
    client = control_plane.client("cloudwatch")
    arn = "arn:aws:autoscaling:us-east-1:000000000000:scalingPolicy:1:resource/sagemaker/x:policyName/y"
    for name, threshold in (("fires", 5.0), ("rests", 500.0)):
        client.put_metric_alarm(
            AlarmName=name,
            Namespace="Mine",
            MetricName="Queue",
            Dimensions=[{"Name": key, "Value": text} for key, text in DIMENSIONS],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            AlarmActions=[arn],
        )
    publish("Queue", 9.0, time.time())
    expected = Alarm("fires", Metric("Mine", "Queue", DIMENSIONS, "Maximum"), 5.0, (arn,))
    firing = await local.alarms(SCOPE)
    client.delete_alarms(AlarmNames=["fires", "rests"])
    assert list(firing) == [expected]
