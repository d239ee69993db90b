"""MiniStack's CloudWatch alarms: evaluated as CloudWatch evaluates them, and made for scaling policies."""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from mme_local.aws.scope import Scope

Alarm = MutableMapping[str, Any]


def evaluate_alarms_as_cloudwatch_does() -> None:
    """Let an alarm look at the metric with its own dimensions, and get well when nothing is wrong any more.

    MiniStack takes the metric of all endpoints and fleets together, and keeps an alarm in the state ALARM as long as
    no more data arrive: after one rollback no deployment would start again.
    """
    from ministack.services import cloudwatch

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


class PolicyAlarms:
    """The alarms that trigger scaling policies. All methods run on the event loop, where MiniStack answers, too."""

    def __init__(self) -> None:
        from ministack.core.responses import request_scope
        from ministack.services import cloudwatch

        self._cloudwatch, self._scope = cloudwatch, request_scope

    def triggering(self, scope: Scope, policy_arn: str) -> dict[str, str]:
        """The ARNs of the alarms that trigger a policy, by the alarms' names."""
        with self._scope(scope.account, scope.region):
            return {
                name: alarm["AlarmArn"]
                for name, alarm in self._cloudwatch._alarms.items()
                if policy_arn in alarm["AlarmActions"]
            }

    def put(self, scope: Scope, alarm: Mapping[str, Any]) -> None:
        """Make an alarm, as PutMetricAlarm does."""
        with self._scope(scope.account, scope.region):
            self._cloudwatch._put_metric_alarm({}, dict(alarm), is_cbor=False, is_json=True)

    def delete(self, scope: Scope, names: Sequence[str]) -> None:
        """Delete alarms; one that is gone already is no error."""
        with self._scope(scope.account, scope.region):
            self._cloudwatch._delete_alarms({}, {"AlarmNames": list(names)}, is_cbor=False, is_json=True)
