"""What a layout check says."""

from __future__ import annotations

from dataclasses import dataclass, field

from multi_model_endpoint.rules import Advice, Problem


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
