"""What the delivery of a server's output costs, in what can be counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mme_local.ministack import log_groups
from mme_local.ministack.log_groups import MOST_BYTES

GROUP = "/aws/sagemaker/Endpoints/chatty"
LINE = "x" * 10_000


def test_a_delivery_to_a_full_log_group_seldom_looks_through_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream: dict[str, Any] = {"events": [], "lastEventTimestamp": 1}
    deliveries = 0

    def put(request: Any) -> None:
        nonlocal deliveries
        deliveries += 1
        stream["events"] += request["logEvents"]

    logs: Any = SimpleNamespace(_put_log_events=put, _log_groups={GROUP: {"streams": {"new": stream}}}, _log_records={})
    walks: list[int] = []
    forget = log_groups._forget_oldest

    def counted(*arguments: Any) -> int:
        walks.append(deliveries)
        return forget(*arguments)

    monkeypatch.setattr(log_groups, "_forget_oldest", counted)
    log_groups._bound_log_groups(logs)
    kept = 0
    while len(walks) < 3:
        event = {"eventId": str(deliveries), "message": LINE}
        logs._put_log_events({"logGroupName": GROUP, "logStreamName": "new", "logEvents": [event]})
        kept = max(kept, sum(len(event["message"]) for event in stream["events"]))
    first, second, third = walks
    assert second - first == pytest.approx(third - second, abs=1)
    assert second - first > 100
    assert MOST_BYTES * 0.9 < kept <= MOST_BYTES
