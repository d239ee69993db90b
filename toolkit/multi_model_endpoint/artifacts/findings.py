"""What checks say: what is refused and what is advised against, each by the id that docs/rules.md explains it under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self


class Problem(str):
    """Why something is refused: the message, with the rule's id in brackets at its end.

    Attributes:
        rule: The rule's id, such as ``invalidName``.
        message: The message alone.
    """

    rule: str
    message: str

    def __new__(cls, rule: str, message: str) -> Self:
        """Make the text of both."""
        problem = super().__new__(cls, f"{message} [{rule}]")
        problem.rule, problem.message = rule, message
        return problem

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        """What a copy is made from."""
        return self.rule, self.message

    def of(self, name: str) -> Problem:
        """The same, said of one of several."""
        return Problem(self.rule, f"{name}: {self.message}")


class Advice(NamedTuple):
    """What is accepted, and advised against.

    Attributes:
        rule: The rule's id, by which the warning is acknowledged.
        message: The message.
    """

    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.message} [{self.rule}]"

    def of(self, name: str) -> Advice:
        """The same, said of one of several."""
        return Advice(self.rule, f"{name}: {self.message}")


@dataclass
class Findings:
    """What is wrong with a model's layout.

    Attributes:
        problems: What keeps the model from loading, each with the file that is expected.
        warnings: What the container tolerates.
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Advice] = field(default_factory=list)

    def problem(self, rule: str, message: str) -> None:
        """Add an error."""
        self.problems.append(Problem(rule, message))

    def warn(self, rule: str, message: str) -> None:
        """Add a warning."""
        self.warnings.append(Advice(rule, message))
