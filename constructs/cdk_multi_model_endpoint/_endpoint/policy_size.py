"""Whether the policies of endpoints that share a role fit into it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

from weakref import WeakKeyDictionary, WeakSet

import aws_cdk as cdk
import jsii
from aws_cdk import aws_iam as iam
from constructs import Construct, IValidation

_INLINE_MAX = 10_240
_LENGTHS = {"AWS::Partition": 3, "AWS::Region": 9, "AWS::AccountId": 12}
_LENGTH_OF_NAMES = 20  # at least, of those that CloudFormation makes

_FEW = 2
"""Policies of one endpoint that fit in any case: a model's, and that of its rollback alarms."""

_policies: WeakKeyDictionary[iam.IRole, list[tuple[Construct, iam.Policy]]] = WeakKeyDictionary()
_checked: WeakSet[iam.IRole] = WeakSet()


def count_policy(scope: Construct, role: iam.IRole, policy: iam.Policy, *, own: bool) -> None:
    """Count an endpoint's policy of a role, to check at synth that the role can take all of them.

    Args:
        scope: The endpoint.
        role: The role.
        policy: The policy.
        own: Whether the endpoint made the role: then only many policies, or another endpoint, could be too much.
    """
    counted = _policies.setdefault(role, [])
    counted.append((scope, policy))
    if role not in _checked and (not own or len(counted) > _FEW):
        _checked.add(role)
        scope.node.add_validation(_Fit(role))


@jsii.implements(IValidation)
class _Fit:
    """Checks at synth: further endpoints may come until then, and the CDK merges and splits policies."""

    def __init__(self, role: iam.IRole) -> None:
        self._role = role

    def validate(self) -> list[str]:
        counted = _policies[self._role]
        ours = [policy for _, policy in counted]
        for child in ("DefaultPolicy", "Policy"):  # of a role that is made, and of one that is imported
            policy = self._role.node.try_find_child(child)
            ours += [policy] if isinstance(policy, iam.Policy) else []
        size = sum(_length(cdk.Stack.of(policy).resolve(policy.document)) for policy in ours)
        if size <= _INLINE_MAX:
            return []
        endpoints = len({scope.node.path for scope, _ in counted})
        return [
            f"role {self._role.node.path!r} is shared by {endpoints} endpoints, whose permissions take at least {size} "
            f"characters: IAM allows {_INLINE_MAX} in a role's inline policies; give fewer endpoints the same role, or "
            "leave it out, and each makes its own"
        ]


def _length(value: object) -> int:
    """How long a part of a policy is at least, as JSON without blanks."""
    if isinstance(value, list):
        return sum(_length(each) + 1 for each in value) + 1
    if not isinstance(value, dict):
        return len(str(value)) + 2
    if "Fn::Join" in value:
        return 2 + sum(_length(part) - 2 for part in value["Fn::Join"][1])
    if "Ref" in value or any(key.startswith("Fn::") for key in value):
        return _LENGTHS.get(str(value.get("Ref")), _LENGTH_OF_NAMES) + 2
    return sum(len(key) + 4 + _length(each) for key, each in value.items()) + 1
