"""MiniStack's CloudWatch Logs, which keeps everything in memory, made to forget the oldest output of an endpoint.

A part of the gateway, as ``mme_local.iam`` is: only these know MiniStack's internals.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from mme_local.platform.logs import log_group

MOST_BYTES = 32 * 1024**2
"""What an endpoint's log group may take, with what MiniStack keeps beside each event."""
_BESIDE = 1000


def bound_log_groups() -> None:
    """Let the log group of an endpoint keep no more than its newest events."""
    logs: Any = importlib.import_module("ministack.services.cloudwatch_logs")
    put = logs._put_log_events
    if getattr(put, "forgets", False):
        return

    def put_log_events(request: Mapping[str, Any]) -> Any:
        answer = put(request)
        name = str(request.get("logGroupName"))
        if name.startswith(log_group("")) and name in logs._log_groups:
            _forget_oldest(logs, logs._log_groups[name]["streams"])
        return answer

    put_log_events.forgets = True  # type: ignore[attr-defined]
    logs._put_log_events = put_log_events


def _forget_oldest(logs: Any, streams: dict[str, dict[str, Any]]) -> None:
    room = MOST_BYTES
    for name, stream in sorted(streams.items(), key=lambda item: item[1]["lastEventTimestamp"] or 0, reverse=True):
        events = stream["events"]
        kept = len(events)
        while kept and room > 0:
            kept -= 1
            room -= len(events[kept]["message"]) + _BESIDE
        for event in events[:kept]:
            logs._log_records.pop(event["eventId"], None)
        if events and kept == len(events):
            del streams[name]
        elif kept:
            # another list: who reads the old one goes on with it
            stream["events"] = events[kept:]
