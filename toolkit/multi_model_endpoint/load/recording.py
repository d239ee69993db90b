"""What became of each call: counted where it was made, and brought together in the master."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from .latencies import Latencies

FIRST = -1
"""The first calls of each model, in place of a step."""

BETWEEN = -2
"""Calls that belong to no step."""


@dataclass
class Cell:
    """The calls of one model in one step."""

    calls: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def unanswered(self) -> int:
        """Those under way."""
        return self.calls - self.errors.total() - len(self.latencies)

    def merge(self, other: Cell) -> None:
        """Count what another has counted, too."""
        self.calls += other.calls
        self.errors.update(other.errors)
        self.latencies.merge(other.latencies)


class Recorder:
    """Counts calls by step and model.

    Attributes:
        step: The one that calls belong to which are made now.
        resting: Whether none are to be made.
        cells: By step and model.
        late: How late this process was with calls, by step.
        sent: How long calls took from when they had a connection to use, by step.
    """

    def __init__(self) -> None:
        self.step = BETWEEN
        self.resting = False
        self._answered: set[str] = set()
        self.clear()

    def clear(self) -> None:
        """Forget the counts."""
        self.cells: defaultdict[tuple[int, str], Cell] = defaultdict(Cell)
        self.late: defaultdict[int, Latencies] = defaultdict(Latencies)
        self.sent: defaultdict[int, Latencies] = defaultdict(Latencies)

    def has_answered(self, model: str) -> bool:
        """Whether a model has, so that a call of it is not among its first."""
        return model in self._answered

    def ended(self, step: int, model: str, seconds: float, error: str | None) -> None:
        """Count the end of a call."""
        cell = self.cells[step, model]
        if error is None:
            self._answered.add(model)
            cell.latencies.add(seconds)
        else:
            cell.errors[error] += 1

    def of_step(self, step: int) -> Cell:
        """The calls of a step, of all models."""
        whole = Cell()
        for cell in self.of_models(step).values():
            whole.merge(cell)
        return whole

    def of_models(self, step: int) -> dict[str, Cell]:
        """The calls of a step, by model."""
        return {model: cell for (its, model), cell in self.cells.items() if its == step}

    @property
    def unanswered(self) -> int:
        """All calls under way."""
        return sum(cell.unanswered for cell in self.cells.values())

    def take(self) -> dict[str, Any]:
        """Hand over the counts as plain values, and begin anew."""
        plain = {
            "cells": [
                [step, model, cell.calls, list(cell.errors.items()), cell.latencies.pairs()]
                for (step, model), cell in self.cells.items()
            ],
            "late": [[step, late.pairs()] for step, late in self.late.items()],
            "sent": [[step, sent.pairs()] for step, sent in self.sent.items()],
        }
        self.clear()
        return plain

    def merge(self, plain: dict[str, Any]) -> None:
        """Add the counts of another."""
        for step, model, calls, errors, pairs in plain["cells"]:
            self.cells[step, model].merge(Cell(calls, Counter(dict(errors)), Latencies(pairs)))
        for its, other in ((self.late, plain["late"]), (self.sent, plain["sent"])):
            for step, pairs in other:
                its[step].merge(Latencies(pairs))
