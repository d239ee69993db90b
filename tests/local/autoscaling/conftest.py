"""The service with an endpoint, a clock and metrics that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mme_local.autoscaling import AutoScaling
from mme_local.autoscaling.metrics import Alarm, Metric
from mme_local.aws.errors import ServiceError
from mme_local.aws.scope import Scope
from mme_local.hosting.plane import HostingError, NoServers
from mme_local.hosting.spec import EndpointSpec
from mme_local.sagemaker import SageMaker

SCOPE = Scope("000000000000", "us-east-1")
START = 1_800_000_000.0


class Metrics:
    """A CloudWatch that knows what the test says: values by the metrics' names."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.asked: list[Metric] = []
        self.firing: list[Alarm] = []

    async def value(self, scope: Scope, metric: Metric, end: float) -> float | None:
        self.asked.append(metric)
        await asyncio.sleep(0)
        return self.values.get(metric.name)

    async def alarms(self, scope: Scope) -> Sequence[Alarm]:
        return self.firing

    def close(self) -> None:
        pass


class Alarms:
    """The alarms of CloudWatch, by their names."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}

    def triggering(self, scope: Scope, policy_arn: str) -> dict[str, str]:
        return {name: f"arn:{name}" for name, alarm in self.made.items() if policy_arn in alarm["AlarmActions"]}

    def put(self, scope: Scope, alarm: Mapping[str, Any]) -> None:
        self.made[alarm["AlarmName"]] = dict(alarm)

    def delete(self, scope: Scope, names: Sequence[str]) -> None:
        for name in names:
            del self.made[name]


class Machine(NoServers):
    """Takes every count until the test says that there is no more."""

    full = False

    async def adjust(self, spec: EndpointSpec) -> None:
        if self.full:
            raise HostingError("no room for another instance")


class World:
    """One endpoint ``e`` with two instances of ``AllTraffic`` and one of ``other``."""

    resource = "endpoint/e/variant/AllTraffic"

    def __init__(self) -> None:
        self.now = START
        self.metrics = Metrics()
        self.machine = Machine()
        self.sagemaker = SageMaker(self.machine)
        self.alarms = Alarms()
        self.service = AutoScaling(self.sagemaker, self.alarms, self.metrics, clock=lambda: self.now)

    async def build(self) -> None:
        self.sage("CreateModel", ModelName="M", PrimaryContainer={"Image": "i"})
        self.sage("CreateModel", ModelName="N", PrimaryContainer={"Image": "j"})
        self.config("one")
        self.sage("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
        await self.settle()

    def config(self, name: str, *, model: str = "M", instance_type: str = "ml.m5.large", other: bool = True) -> None:
        variants = [
            {"VariantName": variant, "ModelName": model, "InstanceType": type_, "InitialInstanceCount": count}
            for variant, type_, count in (("AllTraffic", instance_type, 2), ("other", "ml.m5.large", 1))
        ]
        chosen = variants if other else variants[:1]
        self.sage("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=chosen)

    def sage(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.sagemaker.call(SCOPE, operation, request)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call about the one target, whatever is not said."""
        takes_many = operation.startswith("Describe")
        address = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
        if not takes_many:
            address["ResourceId"] = self.resource
        if "TagResource" in operation or "ListTags" in operation:
            address = {}
        return self.service.call(SCOPE, operation, {**address, **request})

    def register(self, minimum: int = 1, maximum: int = 10, **more: Any) -> str:
        arn: str = self.call("RegisterScalableTarget", MinCapacity=minimum, MaxCapacity=maximum, **more)[
            "ScalableTargetARN"
        ]
        return arn

    def track(self, target: float = 100.0, name: str = "load", **more: Any) -> str:
        """Put a policy for invocations, or for the custom metric that is named."""
        metric = more.pop("metric", None)
        if metric is None:
            what = {"PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}}
        else:
            custom = {"Namespace": "Mine", "MetricName": metric, "Statistic": "Average"}
            what = {"CustomizedMetricSpecification": custom}
        configuration = {"TargetValue": target, **what, **more}
        arn: str = self.call(
            "PutScalingPolicy",
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )["PolicyARN"]
        return arn

    @property
    def count(self) -> int:
        return self.variant()["DesiredInstanceCount"]  # type: ignore[no-any-return]

    def variant(self, name: str = "AllTraffic") -> dict[str, Any]:
        variants = self.sage("DescribeEndpoint", EndpointName="e")["ProductionVariants"]
        return next(variant for variant in variants if variant["VariantName"] == name)

    def activities(self) -> list[dict[str, Any]]:
        return self.call("DescribeScalingActivities")["ScalingActivities"]  # type: ignore[no-any-return]

    async def settle(self) -> None:
        operation = self.sagemaker.region(SCOPE).endpoints.get("e").operation
        if operation is not None:
            await operation
        await asyncio.sleep(0)

    async def look(self, after: float = 0.0) -> int:
        """Let time pass, look once, and say how many instances there are then."""
        self.now += after
        await self.service.scaler.look()
        await self.settle()
        return self.count


@pytest.fixture
async def world() -> World:
    world = World()
    await world.build()
    return world


@pytest.fixture
def refused() -> Callable[..., str]:
    """Call and return the error's type and text."""

    def call(function: Callable[..., Any], *arguments: Any, **named: Any) -> str:
        with pytest.raises(ServiceError) as caught:
            function(*arguments, **named)
        return f"{caught.value.code}: {caught.value}"

    return call
