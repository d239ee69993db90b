"""MiniStack's CloudWatch Logs: made to forget an endpoint's oldest output, and to make no log group anew in a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mme_local.hosting.spec import log_group

Properties = Mapping[str, Any]

MOST_BYTES = 32 * 1024**2
"""What an endpoint's log group may take, with what MiniStack keeps beside each event."""
_BESIDE = 1000
_ROOM = MOST_BYTES // 16
"""What is free again when it was full, so that not each delivery to a full group has to look through it."""
_TAKEN = "mmeLocalTaken"


def do_as_cloudwatch_logs_does() -> None:
    """Mend what CloudWatch Logs does otherwise; but in memory, an endpoint's log group keeps its newest events only."""
    from ministack.services import cloudwatch_logs as logs

    if getattr(logs._put_log_events, "forgets", False):
        return
    _bound_log_groups(logs)
    _mend_the_type(logs)


def _bound_log_groups(logs: Any) -> None:
    put = logs._put_log_events

    def put_log_events(request: Mapping[str, Any]) -> Any:
        answer = put(request)
        name = str(request.get("logGroupName"))
        if name.startswith(log_group("")) and name in logs._log_groups:
            group = logs._log_groups[name]
            group[_TAKEN] = group.get(_TAKEN, 0) + sum(map(_size, request.get("logEvents", ())))
            if group[_TAKEN] > MOST_BYTES:
                group[_TAKEN] = _forget_oldest(logs, group["streams"])
        return answer

    put_log_events.forgets = True  # type: ignore[attr-defined]
    logs._put_log_events = put_log_events


def _mend_the_type(logs: Any) -> None:
    """Let ``AWS::Logs::LogGroup`` refuse a name that is taken, whose group MiniStack would empty, and name others."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]
    create, update = handlers["create"], handlers["update"]

    def create_group(logical_id: str, properties: Properties, stack_name: str) -> Any:
        name = properties.get("LogGroupName") or provisioners._physical_name(stack_name, logical_id, max_len=512)
        if name in logs._log_groups:
            raise RuntimeError(f"Resource of type 'AWS::Logs::LogGroup' with identifier '{name}' already exists.")
        return create(logical_id, {**properties, "LogGroupName": name}, stack_name)

    def update_group(physical_id: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Any:
        if "LogGroupName" not in old and "LogGroupName" not in new:
            old, new = ({**properties, "LogGroupName": physical_id} for properties in (old, new))
        return update(physical_id, old, new, stack_name, logical_id)

    handlers.update(create=create_group, update=update_group)


def _size(event: Mapping[str, Any]) -> int:
    return len(event.get("message", "")) + _BESIDE


def _forget_oldest(logs: Any, streams: dict[str, dict[str, Any]]) -> int:
    """Keep the newest events, and return what they take."""
    room = most = MOST_BYTES - _ROOM
    for name, stream in sorted(streams.items(), key=lambda item: item[1]["lastEventTimestamp"] or 0, reverse=True):
        events = stream["events"]
        kept = len(events)
        while kept and room > 0:
            kept -= 1
            room -= _size(events[kept])
        for event in events[:kept]:
            logs._log_records.pop(event["eventId"], None)
        if events and kept == len(events):
            del streams[name]
        elif kept:
            # another list: who reads the old one goes on with it
            stream["events"] = events[kept:]
    return most - room
