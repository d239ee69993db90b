"""What an endpoint says and refuses while a change is under way, with a data plane that the test directs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mme_local.aws.scope import Scope
from mme_local.hosting.plane import HostingError, NoServers
from mme_local.hosting.spec import EndpointSpec
from mme_local.sagemaker import SageMaker, ValidationError

SCOPE = Scope("000000000000", "us-east-1")


class DirectedHosting(NoServers):
    """Does nothing until the test lets it go on or fails it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, EndpointSpec | str]] = []
        self._go: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def go_on(self, error: Exception | None = None) -> None:
        waiting, self._go = self._go, asyncio.get_running_loop().create_future()
        if error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(error)

    async def deploy(self, spec: EndpointSpec) -> None:
        self.calls.append(("deploy", spec))
        await self._go

    async def adjust(self, spec: EndpointSpec) -> None:
        self.calls.append(("adjust", spec))
        await self._go

    async def remove(self, endpoint_name: str) -> None:
        self.calls.append(("remove", endpoint_name))
        await self._go


class Directed:
    """A service with one endpoint that is being created."""

    def __init__(self, shapes: Any) -> None:
        self.hosting = DirectedHosting()
        self.service = SageMaker(self.hosting)
        environment = {"Environment": {"A": "1"}, "MultiModelConfig": {"ModelCacheSetting": "Disabled"}}
        self.call("CreateModel", ModelName="M", PrimaryContainer=shapes.container(**environment))
        for name, count in (("one", 2), ("two", 4)):
            variants = [
                shapes.variant("M", InitialInstanceCount=count, ContainerStartupHealthCheckTimeoutInSeconds=300)
            ]
            self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=variants)
        self.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.service.call(SCOPE, operation, request)

    def describe(self) -> dict[str, Any]:
        return self.call("DescribeEndpoint", EndpointName="e")

    async def turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def finish(self, error: Exception | None = None) -> None:
        await self.turn()
        self.hosting.go_on(error)
        await self.turn()


@pytest.fixture
async def local(shapes: Any) -> Directed:
    return Directed(shapes)


async def test_creation_is_described_while_it_goes_on(local: Directed) -> None:
    answer = local.describe()
    assert answer["EndpointStatus"] == "Creating"
    assert answer["PendingDeploymentSummary"]["EndpointConfigName"] == "one"
    assert "ProductionVariants" not in answer
    assert not local.service.endpoints.invocable("e")
    await local.finish()
    assert local.describe()["EndpointStatus"] == "InService"
    assert local.service.endpoints.invocable("e")


async def test_the_data_plane_learns_all_that_it_needs(local: Directed, shapes: Any) -> None:
    await local.turn()
    ((kind, spec),) = local.hosting.calls
    assert kind == "deploy"
    assert isinstance(spec, EndpointSpec)
    assert (spec.name, spec.config_name) == ("e", "one")
    (variant,) = spec.variants
    assert (variant.name, variant.instance_type, variant.instance_count) == ("AllTraffic", "ml.m5.xlarge", 2)
    assert (variant.weight, variant.startup_timeout) == (1.0, 300.0)
    (container,) = variant.containers
    assert (container.image, container.model_data_url) == (shapes.image, "s3://models/all/")
    assert (container.multi_model, container.model_cache, dict(container.environment)) == (True, False, {"A": "1"})


@pytest.mark.parametrize(
    ("operation", "request_members"),
    [
        ("UpdateEndpoint", {"EndpointConfigName": "two"}),
        ("UpdateEndpointWeightsAndCapacities", {"DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic"}]}),
        ("DeleteEndpoint", {}),
    ],
)
async def test_one_change_at_a_time(local: Directed, operation: str, request_members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r'Cannot update in-progress endpoint "arn:aws:.*:endpoint/e"\.'):
        local.call(operation, EndpointName="e", **request_members)


async def test_the_old_configuration_serves_during_an_update_and_after_a_failed_one(local: Directed) -> None:
    await local.finish()
    local.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    await local.turn()
    answer = local.describe()
    assert (answer["EndpointStatus"], answer["EndpointConfigName"]) == ("Updating", "one")
    assert answer["PendingDeploymentSummary"]["EndpointConfigName"] == "two"
    assert local.service.endpoints.invocable("e")
    await local.finish(HostingError("no memory for it"))
    answer = local.describe()
    assert (answer["EndpointStatus"], answer["EndpointConfigName"]) == ("InService", "one")
    assert answer["FailureReason"] == "no memory for it"
    assert answer["ProductionVariants"][0]["DesiredInstanceCount"] == 2


async def test_a_failed_adjustment_goes_back(local: Directed) -> None:
    await local.finish()
    changes = [{"VariantName": "AllTraffic", "DesiredWeight": 5.0, "DesiredInstanceCount": 9}]
    local.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=changes)
    (variant,) = local.describe()["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 9)
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (1.0, 5.0)
    await local.finish(HostingError("no room"))
    answer = local.describe()
    (variant,) = answer["ProductionVariants"]
    assert (answer["EndpointStatus"], answer["FailureReason"]) == ("InService", "no room")
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 2)
    assert variant["DesiredWeight"] == 1.0


async def test_an_endpoint_is_gone_when_its_fleet_is(local: Directed) -> None:
    await local.finish()
    local.call("DeleteEndpoint", EndpointName="e")
    assert local.describe()["EndpointStatus"] == "Deleting"
    assert not local.service.endpoints.invocable("e")
    await local.finish()
    with pytest.raises(ValidationError, match="Could not find endpoint"):
        local.describe()


async def test_an_unexpected_error_of_the_data_plane_is_the_failure_reason(local: Directed) -> None:
    await local.finish(KeyError("surprise"))
    answer = local.describe()
    assert (answer["EndpointStatus"], answer["FailureReason"]) == ("Failed", "KeyError: 'surprise'")


async def test_closing_ends_what_is_under_way(shapes: Any) -> None:
    before = asyncio.all_tasks()
    local = Directed(shapes)
    await local.turn()
    await local.service.endpoints.close()
    assert asyncio.all_tasks() == before
