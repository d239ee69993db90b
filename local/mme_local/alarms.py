"""MiniStack's evaluation of CloudWatch alarms, made to look at what CloudWatch looks at.

A part of the gateway, as ``mme_local.iam`` is: only these know MiniStack's internals.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import MutableMapping
from typing import Any

Alarm = MutableMapping[str, Any]


def evaluate_alarms_as_cloudwatch_does() -> None:
    """Let an alarm look at the metric with its own dimensions, and get well when nothing is wrong any more.

    MiniStack takes the metric of all endpoints and fleets together, and keeps an alarm in the state ALARM as long as
    no more data arrive: after one rollback no deployment would start again.
    """
    cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
    evaluate = cloudwatch._evaluate_alarm
    if getattr(evaluate, "evaluates_as_cloudwatch_does", False):
        return

    def evaluate_own(alarm: Alarm) -> None:
        everything = cloudwatch._metrics
        dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
        own = {key: points for key, points in everything.items() if key[2] == dimensions}
        cloudwatch._metrics = own
        try:
            evaluate(alarm)
        finally:
            cloudwatch._metrics = everything
        points = own.get((alarm.get("Namespace"), alarm.get("MetricName"), dimensions), [])
        if alarm["StateValue"] == "ALARM" and alarm.get("TreatMissingData") == "notBreaching" and points:
            since = time.time() - alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1)
            if all(point["Timestamp"] < since for point in points):
                _recover(cloudwatch, alarm)

    evaluate_own.evaluates_as_cloudwatch_does = True  # type: ignore[attr-defined]
    cloudwatch._evaluate_alarm = evaluate_own


def _recover(cloudwatch: Any, alarm: Alarm) -> None:
    reason = "Threshold Crossed: no datapoints were received and missing ones are not breaching."
    alarm["StateValue"] = "OK"
    alarm["StateReason"] = reason
    alarm["StateUpdatedTimestamp"] = int(time.time())
    cloudwatch._record_history(alarm["AlarmName"], "ALARM", "OK", reason)
    cloudwatch._dispatch_alarm_actions(alarm, "ALARM", "OK", reason)
    cloudwatch._evaluate_parent_alarms(alarm)
