"""Telling values that are known at synth from those that CloudFormation fills in."""

from __future__ import annotations

import aws_cdk as cdk


def is_token(value: object) -> bool:
    """Whether a string or number stands for something that is known only at deployment.

    Only values that can be an encoded token (a string with a marker, a negative number) cost a call to the CDK.
    """
    if isinstance(value, str):
        return "${" in value and bool(cdk.Token.is_unresolved(value))
    if isinstance(value, (int, float)):
        return value < 0 and bool(cdk.Token.is_unresolved(value))
    return value is not None and bool(cdk.Token.is_unresolved(value))
