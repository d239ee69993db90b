"""Two fleets side by side: shares of the traffic, no call lost either way, and metrics that tell them apart."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping

import boto3
import pytest

from mme_local.hosting.plane import HostingError
from mme_local.hosting.spec import EndpointSpec
from mme_local.platform import Settings
from mme_local.servers.base import ServerResponse

from .conftest import Bucket, Endpoints, FakeServer, Hosted, Until, World


def fleet_of(server: FakeServer, target: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
    return ServerResponse(200, {}, server.container.environment["FLEET"].encode())


def spec_of(at: Endpoints, config: str, count: int = 2) -> EndpointSpec:
    variant = at.variant("AllTraffic", at.container(environment={"FLEET": config}), instance_count=count)
    return at.spec(variant, config=config)


async def asked(at: Endpoints, calls: int) -> Counter[str]:
    """Who answered so many calls."""
    found: Counter[str] = Counter()
    for _ in range(calls):
        status, _, body = await at.invoke()
        assert status == 200, body
        found[body.decode()] += 1
    return found


class Traffic:
    """Calls that never stop."""

    def __init__(self, at: Endpoints) -> None:
        self._at = at
        self.statuses: Counter[int] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Traffic:
        self._tasks = [asyncio.create_task(self._call()) for _ in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self) -> None:
        while True:
            status, _, _ = await self._at.invoke()
            self.statuses[status] += 1
            await asyncio.sleep(0.001)  # as a caller's network: a loop that never idles starves all threads


@pytest.fixture(autouse=True)
def model(bucket: Bucket, world: World) -> None:
    bucket.put_model("models/a.tar.gz", b"A")
    world.answer = fleet_of


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
async def test_each_fleet_gets_its_share(hosted: Hosted, share: float) -> None:
    at = hosted(chance=random.Random(1))
    await at.hosting.deploy(spec_of(at, "one"))
    await at.hosting.begin(spec_of(at, "two"))
    assert await asked(at, 20) == {"one": 20}
    await at.hosting.shift("demo", share)
    found = await asked(at, 400)
    assert abs(found["two"] / 400 - share) < 0.06
    await at.hosting.finish("demo", keep_new=True)
    assert await asked(at, 20) == {"two": 20}


async def test_no_call_fails_while_traffic_shifts_and_goes_back(at: Endpoints, world: World, until: Until) -> None:
    hosting = at.hosting
    await hosting.deploy(spec_of(at, "one"))
    async with Traffic(at) as traffic:
        for keep_new, config in ((True, "two"), (False, "three")):
            await hosting.begin(spec_of(at, config))
            for share in (0.5, 1.0):
                await hosting.shift("demo", share)
                calls = traffic.statuses.total()
                await until(lambda: traffic.statuses.total() > calls + 50)  # noqa: B023 - called in this turn of the loop
            if not keep_new:
                await hosting.shift("demo", 0.0)
            await hosting.finish("demo", keep_new=keep_new)
    assert set(traffic.statuses) == {200}
    assert await asked(at, 5) == {"two": 5}
    assert len(world.running) == 2


async def test_no_call_fails_while_batches_replace_each_other(hosted: Hosted, world: World, until: Until) -> None:
    at = hosted(max_instances=3)
    hosting = at.hosting
    await hosting.deploy(spec_of(at, "one", 3))
    async with Traffic(at) as traffic:
        await hosting.begin(spec_of(at, "two", 1))
        await hosting.shift("demo", 1 / 3)
        for count in (2, 3):
            await hosting.resize(spec_of(at, "one", 4 - count), new=False)
            await hosting.resize(spec_of(at, "two", count), new=True)
            assert len(world.running) == 4
            await hosting.shift("demo", count / 3)
            calls = traffic.statuses.total()
            await until(lambda: traffic.statuses.total() > calls + 50)  # noqa: B023 - called in this turn of the loop
        await hosting.finish("demo", keep_new=True)
    assert set(traffic.statuses) == {200}
    assert await asked(at, 5) == {"two": 5}
    assert len(world.running) == 3


async def test_a_new_fleet_that_does_not_come_up_leaves_nothing(hosted: Hosted, world: World) -> None:
    at = hosted(max_instances=3)
    await at.hosting.deploy(spec_of(at, "one"))
    world.start_error = "no memory"
    with pytest.raises(HostingError, match="no memory"):
        await at.hosting.begin(spec_of(at, "two"))
    world.start_error = None
    assert await asked(at, 5) == {"one": 5}
    await at.hosting.begin(spec_of(at, "two"))
    world.start_error = "no memory"
    with pytest.raises(HostingError, match="no memory"):
        await at.hosting.resize(spec_of(at, "two", 3), new=True)


async def test_metrics_go_to_the_region_of_the_endpoint(at: Endpoints, ministack: str) -> None:
    for name, region in (("west", "us-west-2"), ("east", "us-east-1")):
        await at.hosting.deploy(EndpointSpec(name, "one", spec_of(at, "one").variants, region))
        await at.invoke(name=name)
    await at.hosting.flush_metrics()
    found = [
        await asyncio.to_thread(invocations, ministack, name, region=region)
        for name in ("west", "east")
        for region in ("us-west-2", "us-east-1")
    ]
    assert found == [1, 0, 0, 1]


async def test_metrics_of_a_deployment_name_the_configuration_too(hosted: Hosted, ministack: str) -> None:
    at = hosted(settings=Settings(publish_interval=3600))
    name = "told-apart"

    def spec(config: str) -> EndpointSpec:
        return EndpointSpec(name, config, spec_of(at, config).variants)

    await at.hosting.deploy(spec("one"))
    await at.invoke(name=name)
    await at.hosting.flush_metrics()
    await at.hosting.begin(spec("two"))
    await at.invoke(name=name)
    await at.hosting.shift(name, 1.0)
    for _ in range(3):
        await at.invoke(name=name)
    await at.hosting.finish(name, keep_new=True)
    await at.invoke(name=name)
    await at.hosting.flush_metrics()
    assert await asyncio.to_thread(invocations, ministack, name) == 6
    # the old fleet's from the moment that there are two, the new one's also afterwards
    assert await asyncio.to_thread(invocations, ministack, name, "one") == 1
    assert await asyncio.to_thread(invocations, ministack, name, "two") == 4


def invocations(url: str, endpoint: str, config: str | None = None, region: str = "us-east-1") -> float:
    cloudwatch = boto3.client(
        "cloudwatch",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="000000000000",
        aws_secret_access_key="1",
    )
    dimensions = {"EndpointName": endpoint, "VariantName": "AllTraffic"}
    if config is not None:
        dimensions["EndpointConfigName"] = config
    found = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime="2020-01-01T00:00:00Z",
        EndTime="2100-01-01T00:00:00Z",
        Period=86400,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))
