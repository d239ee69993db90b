"""Whether the policies of endpoints that share a role fit into it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from weakref import WeakKeyDictionary

import aws_cdk as cdk
import jsii
from aws_cdk import aws_iam as iam
from constructs import Construct, IValidation

from cdk_multi_model_endpoint._rules.places import Place, place_of
from multi_model_endpoint.artifacts.findings import Problem

_INLINE_MAX = 10_240
_LENGTHS = {"AWS::Partition": 3, "AWS::Region": 9, "AWS::AccountId": 12}
_LENGTH_OF_NAMES = 20  # at least, of those that CloudFormation makes

_policies: WeakKeyDictionary[iam.IRole, list[tuple[Construct, iam.Policy]]] = WeakKeyDictionary()


def count_policy(scope: Construct, role: iam.IRole, policy: iam.Policy) -> None:
    """Count an endpoint's policy of a role, to check at synth that the role can take all of them."""
    if role not in _policies:
        _policies[role] = []
        _fit(place_of(scope)).roles.append(role)
    _policies[role].append((scope, policy))


@jsii.implements(IValidation)
class _Fit:
    """Checks a stack at synth: further endpoints may come until then, and the CDK merges and splits policies."""

    def __init__(self, stack: cdk.Stack) -> None:
        self._stack = stack
        self.roles: list[iam.IRole] = []

    def validate(self) -> list[str]:
        return [problem for role in self.roles for problem in self._problems(role)]

    def _problems(self, role: iam.IRole) -> Iterator[Problem]:
        counted = _policies[role]
        ours = [policy for _, policy in counted]
        node = role.node
        for child in ("DefaultPolicy", "Policy"):  # of a role that is made, and of one that is imported
            policy = node.try_find_child(child)
            ours += [policy] if isinstance(policy, iam.Policy) else []
        size = sum(_length(document) for document in self._stack.resolve([policy.document for policy in ours]))
        if size > _INLINE_MAX:
            endpoints = len({scope.node.path for scope, _ in counted})
            yield Problem(
                "rolePoliciesTooLarge",
                f"role {node.path!r} is shared by {endpoints} endpoints, whose permissions take at least {size} "
                f"characters: IAM allows {_INLINE_MAX} in a role's inline policies; give fewer endpoints the same "
                "role, or leave it out, and each makes its own",
            )


@cache
def _fit(place: Place) -> _Fit:
    """A stack's check, one for all of its endpoints."""
    fit = _Fit(place.stack)
    place.node.add_validation(fit)
    return fit


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
