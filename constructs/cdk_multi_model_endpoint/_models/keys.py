"""Grants on KMS keys, also by an alias: IAM takes no alias's ARN where it wants a key's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

DECRYPT = ("kms:Decrypt",)
ENCRYPT = ("kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*")


def grant_key(grantee: iam.IGrantable, key: kms.IKey, *actions: str) -> iam.Grant:
    """Allow to use a key, in its own policy too where that is needed and can be changed."""
    behind = _key_behind(key)
    return grant_key_to_principal(grantee, key, *actions) if behind is None else behind.grant(grantee, *actions)


def grant_key_to_principal(
    grantee: iam.IGrantable, key: kms.IKey, *actions: str, conditions: Mapping[str, Mapping[str, str]] | None = None
) -> iam.Grant:
    """Allow to use a key, in the grantee's policy alone.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    """
    behind = _key_behind(key)
    if behind is not None:
        resource = behind.key_arn
    else:
        owner, _, alias = key.key_arn.partition(":alias/")
        resource = f"{owner}:key/*"
        by_alias = {"kms:ResourceAliases": f"alias/{alias}"}
        conditions = {**(conditions or {}), "ForAnyValue:StringEquals": by_alias}
    return iam.Grant.add_to_principal(
        grantee=grantee, actions=[*actions], resource_arns=[resource], conditions=conditions
    )


def _key_behind(key: kms.IKey) -> kms.IKey | None:
    """The key itself, that of an alias, or None for an alias that was imported by its name or ARN."""
    if not hasattr(key, "alias_name"):
        return None if ":alias/" in key.key_arn else key
    try:
        target: kms.IKey = cast(kms.IAlias, key).alias_target_key
    except RuntimeError:  # the CDK's, for an alias whose key it does not know
        return None
    return target
