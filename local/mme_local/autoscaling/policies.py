"""Scaling policies: put, described and deleted."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping
from typing import Any

import structlog

from mme_local.autoscaling.account import Account
from mme_local.autoscaling.errors import LimitExceeded
from mme_local.autoscaling.listing import answer
from mme_local.autoscaling.policy_metrics import INVOCATIONS, PREDEFINED, TARGET_TRACKING, tracked_metric
from mme_local.autoscaling.records import DIMENSION, NAMESPACE, Policy, ScalableTarget, check_addressed
from mme_local.autoscaling.targets import not_found
from mme_local.aws.errors import ValidationError

log = structlog.get_logger(__name__)

STEP = "StepScaling"
DEFAULT_COOLDOWN = 300

_MOST_POLICIES = 50
_CONFIGURATIONS = {
    TARGET_TRACKING: "TargetTrackingScalingPolicyConfiguration",
    STEP: "StepScalingPolicyConfiguration",
}


def put(account: Account, request: Mapping[str, Any], now: float) -> dict[str, Any]:
    """PutScalingPolicy: a new one, or new settings of the one of this name."""
    target = account.get(request, "registered")
    name = request["PolicyName"]
    old = target.policies.get(name)
    kind = request.get("PolicyType", None if old is None else old.kind)
    if kind is None:
        raise ValidationError("PolicyType is required to create a scaling policy.")
    if kind not in _CONFIGURATIONS:
        raise ValidationError(f"The policy type {kind} is not supported for service namespace {NAMESPACE}.")
    if old is not None and kind != old.kind:
        raise ValidationError(f"The policy type of {name} is {old.kind} and cannot change; delete the policy first.")
    configuration = _configuration(request, kind)
    if kind == TARGET_TRACKING:
        _check_tracking(configuration)
        _check_only_one(target, name, configuration)
    else:
        _check_steps(configuration)
    if old is None and len(target.policies) >= _MOST_POLICIES:
        raise LimitExceeded(f"A scalable target can have at most {_MOST_POLICIES} scaling policies.")
    if _predefined(configuration) not in (None, INVOCATIONS):
        log.warning(
            "mme-local does not publish this metric: the policy will not act",
            policy=name,
            metric=_predefined(configuration),
        )
    resource = f"scalingPolicy:{uuid.uuid4()}:resource/{NAMESPACE}/{target.resource_id}:policyName/{name}"
    arn = account.scope.arn("autoscaling", resource) if old is None else old.arn
    policy = Policy(name, arn, kind, configuration, now if old is None else old.created)
    account.keep(target, policy)
    return {"PolicyARN": arn, "Alarms": account.alarms.describe(policy)}


def describe(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """DescribeScalingPolicies."""
    check_addressed(request)
    names, resource_id = request.get("PolicyNames"), request.get("ResourceId")
    found = [
        {
            "PolicyARN": policy.arn,
            "PolicyName": policy.name,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": target.resource_id,
            "ScalableDimension": DIMENSION,
            "PolicyType": policy.kind,
            _CONFIGURATIONS[policy.kind]: policy.configuration,
            "Alarms": account.alarms.describe(policy),
            "CreationTime": policy.created,
        }
        for target in account.targets.values()
        for policy in target.policies.values()
        if resource_id in (None, target.resource_id) and (not names or policy.name in names)
    ]
    return answer("ScalingPolicies", found, request)


def delete(account: Account, request: Mapping[str, Any]) -> dict[str, Any]:
    """DeleteScalingPolicy."""
    check_addressed(request)
    target = account.targets.get(request["ResourceId"])
    if target is None or request["PolicyName"] not in target.policies:
        raise not_found("scaling policy", request["ResourceId"], "policy name", request["PolicyName"])
    account.drop(target, target.policies[request["PolicyName"]])
    return {}


def _predefined(configuration: Mapping[str, Any]) -> str | None:
    name: str | None = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    return name


def _configuration(request: Mapping[str, Any], kind: str) -> dict[str, Any]:
    given = [name for name in request if name.endswith("ScalingPolicyConfiguration")]
    if given != [_CONFIGURATIONS[kind]]:
        raise ValidationError(
            f"A policy of type {kind} needs a {_CONFIGURATIONS[kind]} and no other, got {', '.join(given) or 'none'}."
        )
    return dict(request[_CONFIGURATIONS[kind]])


def _check_tracking(configuration: Mapping[str, Any]) -> None:
    predefined = configuration.get("PredefinedMetricSpecification")
    custom = configuration.get("CustomizedMetricSpecification")
    if (predefined is None) == (custom is None):
        raise ValidationError(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified."
        )
    if configuration["TargetValue"] <= 0:
        raise ValidationError(f"TargetValue must be greater than 0, got {configuration['TargetValue']}.")
    for member in ("ScaleOutCooldown", "ScaleInCooldown"):
        _check_cooldown(configuration, member)
    if predefined is not None and predefined["PredefinedMetricType"] not in PREDEFINED:
        raise ValidationError(
            f"{predefined['PredefinedMetricType']} is not a metric of {DIMENSION};"
            f" it has {', '.join(sorted(PREDEFINED))}."
        )
    if custom is None:
        return
    if "Metrics" in custom:
        raise ValidationError("mme-local does not evaluate metric math; name one metric instead of Metrics.")
    if missing := [name for name in ("MetricName", "Namespace", "Statistic") if name not in custom]:
        raise ValidationError(f"CustomizedMetricSpecification must specify {', '.join(missing)}.")


def _check_only_one(target: ScalableTarget, name: str, configuration: Mapping[str, Any]) -> None:
    metric = tracked_metric(target, configuration)
    for other in target.policies.values():
        tracks = other.name != name and other.kind == TARGET_TRACKING
        if tracks and tracked_metric(target, other.configuration) == metric:
            raise ValidationError("Only one TargetTrackingScaling policy for a given metric specification is allowed.")


def _check_steps(configuration: Mapping[str, Any]) -> None:
    if "AdjustmentType" not in configuration or not configuration.get("StepAdjustments"):
        raise ValidationError("StepScalingPolicyConfiguration must specify AdjustmentType and StepAdjustments.")
    _check_cooldown(configuration, "Cooldown")
    bounds = []
    for step in configuration["StepAdjustments"]:
        lower, upper = step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound")
        if lower is None and upper is None and len(configuration["StepAdjustments"]) > 1:
            raise ValidationError("A step adjustment needs a lower or an upper bound when there are several.")
        low = float("-inf") if lower is None else lower
        high = float("inf") if upper is None else upper
        if low >= high:
            raise ValidationError(
                f"A step adjustment's upper bound must be above its lower bound, got {low} and {high}."
            )
        bounds.append((low, high))
    bounds.sort()
    if any(before[1] > after[0] for before, after in itertools.pairwise(bounds)):
        raise ValidationError("The intervals of step adjustments must not overlap.")


def _check_cooldown(configuration: Mapping[str, Any], member: str) -> None:
    if configuration.get(member, 0) < 0:
        raise ValidationError(f"{member} must not be negative, got {configuration[member]}.")
