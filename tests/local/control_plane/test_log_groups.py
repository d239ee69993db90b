"""CloudWatch Logs keeps an endpoint's newest output."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mme_local.log_groups import MOST_BYTES

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
