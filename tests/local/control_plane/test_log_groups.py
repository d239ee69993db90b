"""CloudWatch Logs as it is on AWS, but that it keeps an endpoint's newest output only."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mme_local.ministack.log_groups import MOST_BYTES

LINE = 100_000


@pytest.fixture
def logs(control_plane: Any) -> Any:
    return control_plane.client("logs")


def fill(logs: Any, group: str, stream: str, first: int, count: int) -> None:
    now = int(time.time() * 1000)
    for start in range(first, first + count, 8):
        events = [{"timestamp": now, "message": f"{n} {'x' * LINE}"} for n in range(start, start + 8)]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def kept(logs: Any, group: str) -> list[tuple[str, int]]:
    events = logs.filter_log_events(logGroupName=group)["events"]
    return [(event["logStreamName"], int(event["message"].partition(" ")[0])) for event in events]


def test_the_log_group_of_an_endpoint_keeps_its_newest_events(logs: Any, unique: Any) -> None:
    group = f"/aws/sagemaker/Endpoints/{unique('chatty')}"
    logs.create_log_group(logGroupName=group)
    for stream in ("old", "new", "empty"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    fill(logs, group, "old", 0, 200)
    assert len(kept(logs, group)) == 200
    fill(logs, group, "new", 200, 200)
    numbers = [number for _, number in kept(logs, group)]
    assert numbers == list(range(400 - len(numbers), 400))
    assert MOST_BYTES * 0.9 < len(numbers) * LINE <= MOST_BYTES
    fill(logs, group, "new", 400, 400)
    assert {stream for stream, _ in kept(logs, group)} == {"new"}
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["empty", "new"], "a stream without events goes"


def test_other_log_groups_keep_everything(logs: Any, unique: Any) -> None:
    group = unique("own")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    fill(logs, group, "s", 0, 400)
    assert len(kept(logs, group)) == 400
    logs.delete_log_group(logGroupName=group)


def log_group(**properties: Any) -> dict[str, Any]:
    return {"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": properties}}}


def test_a_stack_takes_no_log_group_that_is_there_already(stack: Any, logs: Any, unique: Any) -> None:
    group = f"/aws/sagemaker/Endpoints/{unique('ran-before')}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    fill(logs, group, "s", 0, 8)
    assert stack.create(log_group(LogGroupName=group, RetentionInDays=7)) == "ROLLBACK_COMPLETE"
    assert any(f"'{group}' already exists" in reason for reason in stack.reasons())
    assert len(kept(logs, group)) == 8


def test_a_log_group_is_named_after_its_stack_and_keeps_its_name(stack: Any, logs: Any) -> None:
    stack.create(log_group(RetentionInDays=7))
    name = stack.physical_id("Logs")
    assert name.startswith(f"{stack.name}-Logs-")
    stack.update(log_group(RetentionInDays=30))
    assert stack.physical_id("Logs") == name
    (found,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert found["retentionInDays"] == 30
    stack.delete()
    assert logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []
