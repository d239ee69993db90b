"""The one error that users catch, and the warnings that they acknowledge."""

from __future__ import annotations

from collections.abc import Iterable

import aws_cdk as cdk
from constructs import IConstruct

from multi_model_endpoint.artifacts.findings import Advice, Problem


class InvalidEndpointError(ValueError):
    """Arguments that SageMaker would refuse, found at synth instead of minutes into a deployment.

    All problems of one construct are collected and raised together; each names the argument, its value and the way out.

    Each message ends with the id of the rule under which docs/rules.md explains it.

    Attributes:
        problems: One message per problem: a string that has its ``rule`` and its ``message`` alone, too.
    """

    def __init__(self, where: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{where} is not valid:{lines}")


def raise_if_any(construct: IConstruct | str, problems: Iterable[Problem]) -> None:
    """Raise the problems together, named by the construct's path; do nothing when there are none."""
    if found := tuple(problems):
        raise InvalidEndpointError(construct if isinstance(construct, str) else construct.node.path, found)


def warn(construct: IConstruct, warnings: Iterable[Advice]) -> None:
    """Add the warnings to the construct, each with its id to acknowledge it by."""
    for rule, message in warnings:
        cdk.Annotations.of(construct).add_warning_v2(f"cdk-multi-model-endpoint:{rule}", message)
