"""Deployment guardrails: what is refused, and how traffic, waits and alarms go on in a time that the test directs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mme_local.aws.permissions import Permission
from mme_local.aws.scope import Scope
from mme_local.hosting.plane import HostingError, NoServers
from mme_local.hosting.spec import EndpointSpec
from mme_local.sagemaker import SageMaker, ValidationError
from mme_local.sagemaker.permissions import Roles

SCOPE = Scope("000000000000", "us-east-1")
ROLE = "arn:aws:iam::000000000000:role/Models"


class RecordingHosting(NoServers):
    """Notes what it is asked for, with the time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.calls: list[tuple[Any, ...]] = []
        self.fail_begin: str | None = None
        self.fail_resize: str | None = None

    def note(self, *call: Any) -> None:
        self.calls.append((round(self.clock.time), *call))

    async def deploy(self, spec: EndpointSpec) -> None:
        self.note("deploy", spec.config_name)

    async def begin(self, spec: EndpointSpec) -> None:
        self.note("begin", spec.config_name, *(v.instance_count for v in spec.variants))
        if self.fail_begin is not None:
            raise HostingError(self.fail_begin)

    async def shift(self, endpoint_name: str, share: float) -> None:
        self.note("shift", round(share, 2))

    async def resize(self, spec: EndpointSpec, *, new: bool) -> None:
        self.note("new" if new else "old", *(v.instance_count for v in spec.variants))
        if new and self.fail_resize is not None:
            raise HostingError(self.fail_resize)

    async def finish(self, endpoint_name: str, *, keep_new: bool) -> None:
        self.note("finish", "new" if keep_new else "old")


class FakeClock:
    """Passes when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds
        await asyncio.sleep(0)


class FakeAlarms:
    """Alarms that go off at a given time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.off_at: dict[str, float] = {"errors": float("inf")}
        self.asked: list[Scope] = []
        self.error: Exception | None = None

    async def states(self, scope: Scope, names: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(scope)
        if self.error is not None:
            raise self.error
        known = [name for name in names if name in self.off_at]
        return {name: "ALARM" if self.clock.time >= self.off_at[name] else "INSUFFICIENT_DATA" for name in known}


class Stage:
    """A service with an endpoint of one variant in service."""

    def __init__(self, shapes: Any, count: int = 4, roles: Roles | None = None) -> None:
        self.shapes = shapes
        self.clock = FakeClock()
        self.hosting = RecordingHosting(self.clock)
        self.alarms = FakeAlarms(self.clock)
        self.service = SageMaker(self.hosting, alarms=self.alarms, clock=self.clock, roles=roles)
        self.call("CreateModel", ModelName="M", ExecutionRoleArn=ROLE, PrimaryContainer=shapes.container())
        self.config("one", InitialInstanceCount=count)
        self.config("two", InitialInstanceCount=count)
        self.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.service.call(SCOPE, operation, request)

    def config(self, name: str, *others: dict[str, Any], **changes: Any) -> None:
        variants = [self.shapes.variant("M", **changes), *others]
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=variants)

    async def settled(self) -> dict[str, Any]:
        operation = self.service.region(SCOPE).endpoints.get("e").operation
        assert operation is not None
        await operation
        return self.describe()

    def describe(self) -> dict[str, Any]:
        return self.call("DescribeEndpoint", EndpointName="e")

    async def update(self, policy: dict[str, Any], config: str = "two", **request: Any) -> dict[str, Any]:
        """Update and wait; ``self.hosting.calls`` then has the calls of this update."""
        await self.settled()
        self.hosting.calls.clear()
        self.call("UpdateEndpoint", EndpointName="e", EndpointConfigName=config, DeploymentConfig=policy, **request)
        return await self.settled()


@pytest.fixture
async def stage(shapes: Any) -> Stage:
    return Stage(shapes)


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def count_of(value: int) -> dict[str, Any]:
    return {"Type": "INSTANCE_COUNT", "Value": value}


def blue_green(
    kind: str, wait: int = 60, termination: int = 0, limit: int | None = None, **size: Any
) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **size},
        "TerminationWaitInSeconds": termination,
    }
    if limit is not None:
        policy["MaximumExecutionTimeoutInSeconds"] = limit
    return {"BlueGreenUpdatePolicy": policy}


def canary(size: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return blue_green("CANARY", CanarySize=size, **settings)


def linear(size: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return blue_green("LINEAR", LinearStepSize=size, **settings)


def rolling(size: dict[str, Any], wait: int = 60, **changes: Any) -> dict[str, Any]:
    return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": wait, **changes}}


def alarmed(policy: dict[str, Any], *names: str) -> dict[str, Any]:
    alarms = [{"AlarmName": name} for name in names or ["errors"]]
    return {**policy, "AutoRollbackConfiguration": {"Alarms": alarms}}


async def test_all_at_once_waits_twice_before_the_old_fleet_goes(stage: Stage) -> None:
    answer = await stage.update(blue_green("ALL_AT_ONCE", wait=60, termination=30))
    assert stage.hosting.calls == [(0, "begin", "two", 4), (0, "shift", 1), (90, "finish", "new")]
    assert answer["EndpointStatus"] == "InService"
    assert answer["EndpointConfigName"] == "two"
    assert "PendingDeploymentSummary" not in answer
    assert answer["LastDeploymentConfig"] == blue_green("ALL_AT_ONCE", wait=60, termination=30)


async def test_a_canary_takes_two_steps(stage: Stage) -> None:
    await stage.update(canary(percent(25), wait=100, termination=20))
    assert stage.hosting.calls == [
        (0, "begin", "two", 4),
        (0, "shift", 0.25),
        (100, "shift", 1),
        (120, "finish", "new"),
    ]


async def test_a_percentage_is_rounded_down_to_whole_instances_of_which_there_is_one(stage: Stage) -> None:
    await stage.update(canary(percent(10)))
    assert stage.hosting.calls[1] == (0, "shift", 0.25)
    await stage.update(canary(percent(49)), "one")
    assert stage.hosting.calls[1][2] == 0.25


async def test_linear_takes_equal_steps(shapes: Any) -> None:
    stage = Stage(shapes, 5)
    await stage.update(linear(count_of(2), wait=10))
    shifts = [call for call in stage.hosting.calls if call[1] == "shift"]
    assert shifts == [(0, "shift", 0.4), (10, "shift", 0.8), (20, "shift", 1)]


async def test_rolling_replaces_batch_by_batch(shapes: Any) -> None:
    stage = Stage(shapes, 5)
    await stage.update(rolling(count_of(2), wait=10))
    assert stage.hosting.calls == [
        (0, "begin", "two", 2),
        (0, "shift", 0.4),
        (10, "old", 3),
        (10, "new", 4),
        (10, "shift", 0.8),
        (20, "old", 1),
        (20, "new", 5),
        (20, "shift", 1),
        (30, "finish", "new"),
    ]
    assert stage.describe()["ProductionVariants"][0]["CurrentInstanceCount"] == 5


async def test_an_update_without_a_policy_is_left_to_the_data_plane(stage: Stage) -> None:
    await stage.update({})
    assert stage.hosting.calls == [(0, "deploy", "two")]


async def test_alarms_without_a_policy_are_looked_at_when_all_traffic_has_moved(stage: Stage) -> None:
    await stage.update(alarmed({}))
    assert stage.hosting.calls == [(0, "begin", "two", 4), (0, "shift", 1), (0, "finish", "new")]
    assert set(stage.alarms.asked) == {SCOPE}


@pytest.mark.parametrize("off_at", [7, 101, 119])
async def test_an_alarm_sends_all_traffic_back(stage: Stage, off_at: int) -> None:
    stage.alarms.off_at["errors"] = off_at
    answer = await stage.update(alarmed(canary(percent(25), wait=100, termination=20)))
    *before, resized, back, finished = stage.hosting.calls
    assert resized[1:] == ("old", 4)
    assert back[1:] == ("shift", 0)
    assert finished[1:] == ("finish", "old")
    assert [call[2] for call in before if call[1] == "shift"] == ([0.25] if off_at < 100 else [0.25, 1])
    assert 0 <= back[0] - off_at <= 2
    assert answer["EndpointStatus"] == "InService"
    assert answer["EndpointConfigName"] == "one"
    assert "errors" in answer["FailureReason"]
    assert "PendingDeploymentSummary" not in answer
    assert (await stage.update(canary(percent(25))))["EndpointConfigName"] == "two"
    assert "FailureReason" not in stage.describe()


async def test_rolling_goes_back_all_at_once_or_in_batches(stage: Stage) -> None:
    stage.alarms.off_at["errors"] = 15
    await stage.update(alarmed(rolling(count_of(1), wait=10)))
    assert stage.hosting.calls[-3:] == [(16, "old", 4), (16, "shift", 0), (16, "finish", "old")]
    stage.alarms.off_at["errors"] = stage.clock.time + 15
    await stage.update(alarmed(rolling(count_of(1), wait=10, RollbackMaximumBatchSize=count_of(1))))
    assert [call[1:] for call in stage.hosting.calls[-6:]] == [
        ("old", 3),
        ("shift", 0.25),
        ("new", 1),
        ("old", 4),
        ("shift", 0),
        ("finish", "old"),
    ]


async def test_an_alarm_that_is_off_already_stops_the_deployment_before_it_starts(stage: Stage) -> None:
    stage.alarms.off_at["errors"] = 0
    answer = await stage.update(alarmed(canary(percent(25))))
    assert stage.hosting.calls == []
    assert answer["EndpointConfigName"] == "one"
    assert "errors were in the state ALARM before the deployment" in answer["FailureReason"]


async def test_an_alarm_that_does_not_exist_stops_the_deployment(stage: Stage) -> None:
    answer = await stage.update(alarmed(canary(percent(25)), "errors", "nope"))
    assert stage.hosting.calls == []
    assert "nope do not exist" in answer["FailureReason"]


async def test_alarms_that_cannot_be_seen_stop_the_deployment(stage: Stage) -> None:
    stage.alarms.error = TimeoutError("CloudWatch did not answer")
    answer = await stage.update(alarmed(canary(percent(25))))
    assert stage.hosting.calls == []
    assert "could not be described: CloudWatch did not answer" in answer["FailureReason"]


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_execution_role_must_be_allowed_to_look_at_each_alarm(shapes: Any, allowed: bool) -> None:
    asked: list[str] = []

    class Roles:
        def trusts(self, role_arn: str, principal: str) -> bool:
            return True

        def allows(self, role_arn: str, permission: Permission) -> bool:
            assert role_arn == ROLE
            if permission.action != "cloudwatch:DescribeAlarms":
                return True
            asked.append(permission.resource)
            return allowed

    stage = Stage(shapes, roles=Roles())
    answer = await stage.update(alarmed(blue_green("ALL_AT_ONCE")))
    assert set(asked) == {"arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors"}
    assert answer["EndpointConfigName"] == ("two" if allowed else "one")
    if not allowed:
        assert stage.hosting.calls == []
        assert "not authorized to perform: cloudwatch:DescribeAlarms" in answer["FailureReason"]


async def test_a_fleet_that_does_not_come_up_changes_nothing(stage: Stage) -> None:
    stage.hosting.fail_begin = "no ping"
    answer = await stage.update(canary(percent(25)))
    assert [call[1] for call in stage.hosting.calls] == ["begin"]
    assert (answer["EndpointStatus"], answer["FailureReason"]) == ("InService", "no ping")


async def test_a_batch_that_does_not_come_up_sends_rolling_back(stage: Stage) -> None:
    stage.hosting.fail_resize = "no ping"
    answer = await stage.update(rolling(count_of(1), wait=10))
    assert stage.hosting.calls[-3:] == [(10, "old", 4), (10, "shift", 0), (10, "finish", "old")]
    assert answer["FailureReason"] == "no ping"


async def test_a_fault_of_ours_leaves_no_endpoint_between_its_fleets(stage: Stage) -> None:
    shift = stage.hosting.shift

    async def break_at_all(endpoint_name: str, share: float) -> None:
        await shift(endpoint_name, share)
        if share == 1:
            raise ZeroDivisionError

    stage.hosting.shift = break_at_all  # type: ignore[method-assign]
    answer = await stage.update(canary(percent(25), wait=10))
    assert stage.hosting.calls[-2:] == [(10, "shift", 0), (10, "finish", "old")]
    assert answer["EndpointStatus"] == "InService"
    assert "ZeroDivisionError" in answer["FailureReason"]


async def test_an_old_fleet_that_cannot_grow_back_serves_as_it_is(stage: Stage) -> None:
    stage.hosting.fail_resize = "no ping"
    resize = stage.hosting.resize

    async def none_grow(spec: EndpointSpec, *, new: bool) -> None:
        await resize(spec, new=new)
        if spec.variants[0].instance_count == 4:
            raise HostingError("no room")

    stage.hosting.resize = none_grow  # type: ignore[method-assign]
    answer = await stage.update(rolling(count_of(1), wait=10))
    assert stage.hosting.calls[-2:] == [(10, "shift", 0), (10, "finish", "old")]
    assert answer["FailureReason"] == "no ping; the old fleet went on with fewer instances: no room"


async def test_a_deployment_that_takes_too_long_goes_back(stage: Stage) -> None:
    begin = stage.hosting.begin

    async def slowly(spec: EndpointSpec) -> None:
        await begin(spec)
        stage.clock.time += 590

    stage.hosting.begin = slowly  # type: ignore[method-assign]
    answer = await stage.update(canary(percent(25), wait=100, limit=600))
    assert stage.hosting.calls[-1][1:] == ("finish", "old")
    assert answer["FailureReason"] == "the deployment did not finish within 600 seconds"


async def test_the_stages_are_described(stage: Stage) -> None:
    seen: list[tuple[str, str]] = []
    note = stage.hosting.note

    def look(*call: Any) -> None:
        note(*call)
        pending = stage.describe()["PendingDeploymentSummary"]
        (variant,) = pending["ProductionVariants"]
        assert pending["EndpointConfigName"] == "two"
        assert (variant["VariantName"], variant["InstanceType"]) == ("AllTraffic", "ml.m5.xlarge")
        assert variant["DesiredInstanceCount"] == 4
        (status,) = variant["VariantStatus"]
        seen.append((call[0], status["Status"]))

    await stage.settled()
    stage.hosting.note = look  # type: ignore[method-assign]
    policy = alarmed(canary(percent(25), wait=4))
    stage.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="two", DeploymentConfig=policy)
    await asyncio.sleep(0)
    assert stage.describe()["EndpointStatus"] == "Updating"
    await stage.settled()
    assert seen == [
        ("begin", "Creating"),
        ("shift", "ActivatingTraffic"),
        ("shift", "ActivatingTraffic"),
        ("finish", "Deleting"),
    ]


async def test_a_retained_policy_is_used_again(stage: Stage) -> None:
    await stage.update(canary(percent(25)))
    stage.hosting.calls.clear()
    stage.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="one", RetainDeploymentConfig=True)
    answer = await stage.settled()
    assert [call[2] for call in stage.hosting.calls if call[1] == "shift"] == [0.25, 1]
    assert answer["LastDeploymentConfig"] == canary(percent(25))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({**canary(percent(10)), **rolling(percent(10))}, "Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy"),
        (blue_green("CANARY"), "must specify a CanarySize"),
        (blue_green("LINEAR"), "must specify a LinearStepSize"),
        (blue_green("ALL_AT_ONCE", CanarySize=percent(10)), "ALL_AT_ONCE cannot specify a CanarySize"),
        (canary(percent(51)), "CanarySize must be 1 to 50 percent"),
        (canary(count_of(3)), "CanarySize must be 1 to 50 percent"),
        (linear(percent(9)), "LinearStepSize must be 10 to 50 percent"),
        (linear(percent(51)), "LinearStepSize must be 10 to 50 percent"),
        (rolling(percent(4)), "MaximumBatchSize must be 5 to 50 percent"),
        (rolling(count_of(3)), "MaximumBatchSize must be 5 to 50 percent"),
        (rolling(percent(50), RollbackMaximumBatchSize=percent(101)), "RollbackMaximumBatchSize must be 1 to 100"),
        (canary(percent(10), wait=400, termination=300, limit=700), "must be larger than the waiting times of 700"),
        (linear(percent(25), wait=300, limit=900), "must be larger than the waiting times of 900"),
        (rolling(percent(25), wait=300, MaximumExecutionTimeoutInSeconds=900), "larger than the waiting times of 900"),
        (canary(percent(10), wait=3601), "less than or equal to 3600"),
        (canary(percent(10), limit=599), "greater than or equal to 600"),
        (alarmed(canary(percent(10)), "a", "a"), "must be unique, got a twice"),
        (alarmed({}, *(str(number) for number in range(11))), "length less than or equal to 10"),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused(stage: Stage, policy: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        await stage.update(policy)
    assert stage.hosting.calls == []
    with pytest.raises(ValidationError, match=message):
        stage.call("CreateEndpoint", EndpointName="f", EndpointConfigName="one", DeploymentConfig=policy)


@pytest.mark.parametrize(
    "policy", [canary(percent(50)), canary(count_of(1)), linear(percent(10)), rolling(percent(50))]
)
async def test_a_single_instance_cannot_be_divided(shapes: Any, policy: dict[str, Any]) -> None:
    stage = Stage(shapes, 1)
    with pytest.raises(ValidationError, match="no such number of whole instances for variant AllTraffic with 1"):
        await stage.update(policy)
    assert (await stage.update(blue_green("ALL_AT_ONCE")))["EndpointConfigName"] == "two"


@pytest.mark.parametrize("policy", [blue_green("ALL_AT_ONCE"), canary(percent(25)), rolling(percent(25))])
async def test_the_names_of_the_variants_must_stay(stage: Stage, policy: dict[str, Any]) -> None:
    stage.config("renamed", VariantName="Other")
    with pytest.raises(ValidationError, match=r"same variant names .* got AllTraffic and Other"):
        await stage.update(policy, "renamed")
    assert (await stage.update({}, "renamed"))["ProductionVariants"][0]["VariantName"] == "Other"


async def test_rolling_is_for_one_variant(stage: Stage, shapes: Any) -> None:
    stage.config("both", shapes.variant("M", VariantName="Other"))
    await stage.update({}, "both")
    stage.config("both-again", shapes.variant("M", VariantName="Other", InitialInstanceCount=3))
    with pytest.raises(ValidationError, match="not supported for endpoints with more than one variant"):
        await stage.update(rolling(percent(50)), "both-again")
    await stage.update(canary(count_of(1)), "both-again")
    assert stage.hosting.calls[:2] == [(0, "begin", "both-again", 2, 3), (0, "shift", 0.4)]


async def test_sizes_go_by_the_instances_that_are_kept(stage: Stage) -> None:
    stage.config("small", InitialInstanceCount=1)
    with pytest.raises(ValidationError, match="whole instances"):
        await stage.update(canary(percent(25)), "small")
    await stage.update(canary(percent(25)), "small", RetainAllVariantProperties=True)
    assert stage.hosting.calls[0] == (0, "begin", "small", 4)
