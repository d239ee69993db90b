"""Telling values that are known at synth from those that CloudFormation fills in."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache

import aws_cdk as cdk
from constructs import Construct

TOKEN = re.compile(r"\$\{Token\[[a-zA-Z0-9:._-]+\]\}")
"""The mark by which a string has a token in it."""
_LIST_TOKEN = re.compile(TOKEN.pattern.replace(r"\$", "#"))


def is_token(value: object) -> bool:
    """Whether a string, number, list or object stands for something that is known only at deployment.

    Only numbers below 0, which may be an encoded token, and objects cost a call to the CDK.
    """
    if isinstance(value, str):
        return TOKEN.search(value) is not None
    if isinstance(value, list):
        return len(value) == 1 and isinstance(value[0], str) and _LIST_TOKEN.search(value[0]) is not None
    if isinstance(value, (int, float)):
        return value < 0 and bool(cdk.Token.is_unresolved(value))
    return hasattr(value, "resolve") and bool(cdk.Token.is_unresolved(value))


def lower_case(text: str) -> str:
    """A string in lower case but for its tokens, which are case-sensitive marks."""
    return "".join(part if TOKEN.fullmatch(part) else part.lower() for part in re.split(f"({TOKEN.pattern})", text))


@cache
def pseudo_parameter(name: str) -> str:
    """A parameter that every stack has, by its name in ``cdk.Aws``, such as ``REGION``."""
    parameter: str = getattr(cdk.Aws, name)
    return parameter


def digest(identities: Iterable[str]) -> str:
    """A digest that is the same in every synth, and another one for other resources."""
    return hashlib.sha256("\n".join(sorted(identities)).encode()).hexdigest()[:8]


def identity(scope: Construct, text: str) -> str:
    """A string with its tokens, which are numbered in the order of their making, named by what they refer to."""
    meanings = [_meaning(mark) for mark in TOKEN.findall(text)]
    if not meanings:
        return text
    names = [
        each if isinstance(each, str) else json.dumps(cdk.Stack.of(scope).resolve(each), sort_keys=True)
        for each in meanings
    ]
    return " ".join([TOKEN.sub("*", text), *names])


@cache
def _meaning(mark: str) -> str | cdk.IResolvable:
    """What a token refers to, which never changes, or the token itself where that is not known to the CDK."""
    for name, parameter in (("PARTITION", "AWS::Partition"), ("REGION", "AWS::Region")):
        if mark == pseudo_parameter(name):
            return json.dumps({"Ref": parameter})
    (token,) = cdk.Tokenization.reverse_string(mark).tokens
    return f"{token.target.node.path}.{token.display_name}" if isinstance(token, cdk.Reference) else token
