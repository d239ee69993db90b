"""What the service remembers, for each account and region."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from mme_local.autoscaling.alarms import PolicyAlarms
from mme_local.autoscaling.errors import ObjectNotFound
from mme_local.autoscaling.records import Activity, Policy, ScalableTarget, address, check_addressed
from mme_local.aws.scope import Scope

_MOST_ACTIVITIES = 1000


class Account:
    """The targets and activities of one account and region, and the alarms of its policies."""

    def __init__(self, scope: Scope, alarms: PolicyAlarms) -> None:
        self.scope = scope
        self.alarms = alarms
        self.targets: dict[str, ScalableTarget] = {}
        # they outlive their targets, as on AWS
        self.activities: deque[Activity] = deque(maxlen=_MOST_ACTIVITIES)

    def get(self, request: Mapping[str, Any], adjective: str = "found") -> ScalableTarget:
        """The target that a request names; the service's error when there is none."""
        check_addressed(request)
        target = self.targets.get(request["ResourceId"])
        if target is None:
            raise ObjectNotFound(f"No scalable target {adjective} for {address(request['ResourceId'])}")
        return target

    def keep(self, target: ScalableTarget, policy: Policy) -> None:
        """Keep a policy, in place of the one of its name, and make its alarms."""
        target.policies[policy.name] = policy
        self.alarms.make(target, policy)

    def drop(self, target: ScalableTarget, policy: Policy) -> None:
        """Forget a policy, and delete its alarms."""
        del target.policies[policy.name]
        self.alarms.delete(target, policy)

    def forget(self, target: ScalableTarget) -> None:
        """Forget a target with everything that scales it."""
        for policy in list(target.policies.values()):
            self.drop(target, policy)
        del self.targets[target.resource_id]
