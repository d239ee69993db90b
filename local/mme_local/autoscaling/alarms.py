"""The alarms that come and go with target tracking policies.

They tell what AWS's would tell, and trigger nothing: the scaler looks at the metrics itself, to act within seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from mme_local.autoscaling.policy_metrics import TARGET_TRACKING, tracked_metric
from mme_local.autoscaling.records import Policy, ScalableTarget
from mme_local.autoscaling.tracking import SCALE_IN_BELOW
from mme_local.aws.scope import Scope


class Alarms(Protocol):
    """The alarms of CloudWatch, as far as they concern policies."""

    def triggering(self, scope: Scope, policy_arn: str) -> Mapping[str, str]:
        """The ARNs of the alarms that trigger a policy, by the alarms' names."""
        ...

    def put(self, scope: Scope, alarm: Mapping[str, Any]) -> None:
        """Make an alarm, as PutMetricAlarm does."""

    def delete(self, scope: Scope, names: Sequence[str]) -> None:
        """Delete alarms; one that is gone already is no error."""


class PolicyAlarms:
    """The alarms of the policies of an account and region.

    Args:
        alarms: CloudWatch's.
        scope: The account and region.
    """

    def __init__(self, alarms: Alarms, scope: Scope) -> None:
        self._alarms = alarms
        self._scope = scope

    def describe(self, policy: Policy) -> list[dict[str, str]]:
        """The alarms that trigger a policy: its own, and those that name it as an action."""
        found = self._alarms.triggering(self._scope, policy.arn)
        return [{"AlarmName": name, "AlarmARN": arn} for name, arn in found.items()]

    def make(self, target: ScalableTarget, policy: Policy) -> None:
        """Make the alarms of a target tracking policy, in place of those that it had."""
        self.delete(target, policy)
        if policy.kind == TARGET_TRACKING:
            for alarm in _tracking(target, policy):
                self._alarms.put(self._scope, alarm)

    def delete(self, target: ScalableTarget, policy: Policy) -> None:
        """Delete the alarms that were made for a policy."""
        own = _prefix(target)
        names = [name for name in self._alarms.triggering(self._scope, policy.arn) if name.startswith(own)]
        self._alarms.delete(self._scope, names)


def _prefix(target: ScalableTarget) -> str:
    return f"TargetTracking-{target.resource_id}-"


def _tracking(target: ScalableTarget, policy: Policy) -> Iterator[dict[str, Any]]:
    settings = policy.configuration
    metric = tracked_metric(target, settings)
    shared = {
        "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
        "Statistic": metric.statistic,
        "Period": 60,
        "AlarmActions": [policy.arn],
    }
    goal: float = settings["TargetValue"]
    yield {
        **shared,
        "AlarmName": f"{_prefix(target)}AlarmHigh-{uuid.uuid4()}",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": goal,
        "EvaluationPeriods": 3,
    }
    if not settings.get("DisableScaleIn", False):
        yield {
            **shared,
            "AlarmName": f"{_prefix(target)}AlarmLow-{uuid.uuid4()}",
            "ComparisonOperator": "LessThanThreshold",
            "Threshold": SCALE_IN_BELOW * goal,
            "EvaluationPeriods": 15,
        }
