"""The service: operations by name, and what SageMaker asks it about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mme_local.autoscaling import actions, policies, targets
from mme_local.autoscaling.account import Account
from mme_local.autoscaling.alarms import Alarms, PolicyAlarms
from mme_local.autoscaling.listing import answer
from mme_local.autoscaling.metrics import CloudWatch, LocalCloudWatch
from mme_local.autoscaling.records import DIMENSION, NAMESPACE, check_addressed
from mme_local.autoscaling.scaler import Scaler
from mme_local.aws.errors import UnknownOperation
from mme_local.aws.permissions import Permission
from mme_local.aws.protocol import Answer, answer_json
from mme_local.aws.scope import Scope
from mme_local.aws.shapes import check_request
from mme_local.sagemaker import SageMaker

SERVICE = "application-autoscaling"
TARGET_PREFIX = "AnyScaleFrontendService."
INTERVAL = 5.0

Operation = Callable[[Account, Mapping[str, Any]], dict[str, Any]]


class AutoScaling:
    """Application Auto Scaling's API. Everything is called on the event loop, so nothing needs a lock.

    Args:
        sagemaker: Whose endpoints it scales; it learns of this service, too.
        alarms: Gets the alarms of target tracking policies.
        cloudwatch: Has the metrics; this process's own when left out.
        clock: Tells the time in seconds since 1970.
        interval: Seconds between two looks at all targets.
    """

    def __init__(
        self,
        sagemaker: SageMaker,
        alarms: Alarms,
        cloudwatch: CloudWatch | None = None,
        *,
        clock: Callable[[], float] = time.time,
        interval: float = INTERVAL,
    ) -> None:
        self._accounts: dict[Scope, Account] = {}
        self._sagemaker = sagemaker
        self._alarms = alarms
        self._clock = clock
        self.scaler = Scaler(
            sagemaker, cloudwatch or LocalCloudWatch(), lambda: list(self._accounts.values()), clock, interval
        )
        self._operations: dict[str, Operation] = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": targets.describe,
            "DeregisterScalableTarget": targets.deregister,
            "PutScalingPolicy": lambda account, request: policies.put(account, request, self._clock()),
            "DescribeScalingPolicies": policies.describe,
            "DeleteScalingPolicy": policies.delete,
            "PutScheduledAction": lambda account, request: actions.put(account, request, self._clock()),
            "DescribeScheduledActions": actions.describe,
            "DeleteScheduledAction": actions.delete,
            "DescribeScalingActivities": describe_activities,
            "TagResource": targets.tag,
            "UntagResource": targets.untag,
            "ListTagsForResource": targets.list_tags,
        }
        sagemaker.endpoints.scaling = self

    def account(self, scope: Scope) -> Account:
        """The targets of an account and region."""
        if scope not in self._accounts:
            self._accounts[scope] = Account(scope, PolicyAlarms(self._alarms, scope))
        return self._accounts[scope]

    def call(self, scope: Scope, operation: str, request: Any) -> dict[str, Any]:
        """Check a request and run it; ``ServiceError`` for whatever the API refuses."""
        if operation not in self._operations:
            raise UnknownOperation(f"mme-local has no {operation}; it has {', '.join(sorted(self._operations))}.")
        return self._operations[operation](self.account(scope), check_request(SERVICE, operation, request))

    async def answer(self, scope: Scope, target: str, body: bytes) -> Answer:
        """Answer one request of the JSON protocol; ``target`` is the ``X-Amz-Target`` header."""

        async def call(request: Any) -> dict[str, Any]:
            return self.call(scope, target.removeprefix(TARGET_PREFIX), request)

        return await answer_json(call, body)

    def scaled_variants(self, scope: Scope, endpoint_name: str) -> set[str]:
        """The variants of an endpoint that are scalable targets."""
        found = self.account(scope).targets.values()
        return {target.variant_name for target in found if target.endpoint_name == endpoint_name}

    def endpoint_deleted(self, scope: Scope, endpoint_name: str) -> None:
        """Deregister the targets of an endpoint."""
        account = self.account(scope)
        for name in self.scaled_variants(scope, endpoint_name):
            account.forget(account.targets[f"endpoint/{endpoint_name}/variant/{name}"])

    def _register(self, account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
        target = targets.register(account, request, self._sagemaker, self._clock())
        self.scaler.keep_bounds(account, target)
        return {"ScalableTargetARN": target.arn}


def needed(scope: Scope, operation: str, _: Any) -> Iterator[Permission]:
    """The permission that a call needs, when policies are enforced, whatever the request.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationautoscaling.html
    """
    yield Permission(f"{SERVICE}:{operation}", scope.arn(SERVICE, "scalable-target/*"))


def describe_activities(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """DescribeScalingActivities, the newest first."""
    check_addressed(request)
    resource_id = request.get("ResourceId")
    found = []
    for activity in reversed(account.activities):
        if resource_id in (None, activity.resource_id):
            described = {
                "ActivityId": activity.id,
                "ServiceNamespace": NAMESPACE,
                "ResourceId": activity.resource_id,
                "ScalableDimension": DIMENSION,
                "Description": activity.description,
                "Cause": activity.cause,
                "StartTime": activity.start,
                "EndTime": activity.end,
                "StatusCode": activity.status,
                "StatusMessage": activity.message,
            }
            found.append({name: value for name, value in described.items() if value is not None})
    return answer("ScalingActivities", found, request)
