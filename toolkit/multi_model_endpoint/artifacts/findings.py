"""What a layout check says."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Findings:
    """What is wrong with a model's layout.

    Attributes:
        problems: What keeps the model from loading, each with the file that is expected.
        warnings: What the container tolerates, each with an id to acknowledge it by.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def problem(self, message: str) -> None:
        """Add an error."""
        self.problems.append(message)

    def warn(self, warning_id: str, message: str) -> None:
        """Add a warning."""
        self.warnings.append((warning_id, message))
