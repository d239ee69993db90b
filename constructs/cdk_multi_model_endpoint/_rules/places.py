"""Where a stack is: what all endpoints of a stack share, so that the CDK is asked for it once."""

from __future__ import annotations

import re
from functools import cache, cached_property

import aws_cdk as cdk
from constructs import Construct, IConstruct, Node

from .tokens import TOKEN

_ARN = re.compile(r"arn:({part}):iam:({part}):({part}):here".format(part=f"(?:{TOKEN.pattern}|[^:])*"))


class Place:
    """A stack, and its region, account and partition, each a token where it is known only at deployment.

    Attributes:
        stack: The stack.
    """

    def __init__(self, stack: cdk.Stack) -> None:
        self.stack = stack

    @cached_property
    def node(self) -> Node:
        """The stack's place in the tree."""
        return self.stack.node

    @cached_property
    def path(self) -> str:
        """The stack's path in the tree."""
        return self.node.path

    @property
    def partition(self) -> str:
        """The partition, such as ``aws-cn``."""
        return self._parts[0]

    @property
    def region(self) -> str:
        """The region."""
        return self._parts[1]

    @property
    def account(self) -> str:
        """The account."""
        return self._parts[2]

    @cached_property
    def _parts(self) -> tuple[str, ...]:
        # an ARN has all three, in one call
        match = _ARN.fullmatch(
            self.stack.format_arn(service="iam", resource="here", arn_format=cdk.ArnFormat.NO_RESOURCE_NAME)
        )
        assert match is not None
        return match.groups()


class PlacedConstruct(Construct):
    """A construct that is where its scope is."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self._place = place_of(scope)
        self._scope_and_id = scope, construct_id

    @cached_property
    def _path(self) -> str:
        """The path, which is known without asking for that of a child of the stack."""
        scope, construct_id = self._scope_and_id
        return f"{self._place.path}/{construct_id.replace('/', '--')}" if scope is self._place.stack else self.node.path


def place_of(construct: IConstruct) -> Place:
    """The place of a construct's stack."""
    if isinstance(construct, PlacedConstruct):
        return construct._place
    return _place(construct if isinstance(construct, cdk.Stack) else cdk.Stack.of(construct))


_place = cache(Place)  # jsii keeps every stack as long as the process lives, too
