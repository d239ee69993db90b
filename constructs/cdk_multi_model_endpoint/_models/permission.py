"""What a policy allows, to be granted or written into a document of several: one call of the CDK for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aws_cdk import aws_iam as iam


@dataclass(frozen=True)
class Permission:
    """Some actions on some resources."""

    actions: list[str]  # jsii takes no other sequence here
    resources: list[str]
    conditions: Mapping[str, Mapping[str, object]] | None = None

    def grant(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow it to somebody."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=self.actions, resource_arns=self.resources, conditions=self.conditions
        )


def document(permissions: Iterable[Permission]) -> iam.PolicyDocument:
    """A policy's document that allows all of them."""
    statements = [
        {
            "Effect": "Allow",
            "Action": each.actions,
            "Resource": each.resources,
            **({} if each.conditions is None else {"Condition": each.conditions}),
        }
        for each in permissions
    ]
    return iam.PolicyDocument.from_json({"Statement": statements})
