"""The search for the highest rate that holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .latencies import Latencies

GROWTH = 2.0
PRECISION = 1.1
"""The search is over when what broke is at most so many times what held."""

_LATE = 0.1
"""The share of the wanted latency by which calls may start late without this machine being to blame."""


@dataclass(frozen=True)
class Targets:
    """What is wanted of each step.

    Attributes:
        p99_ms: Milliseconds, from when a call was to be made, that 99 percent of the calls may take.
        errors_percent: How many percent of the calls may fail.
    """

    p99_ms: float
    errors_percent: float = 1.0


@dataclass(frozen=True, eq=False)
class Step:
    """What was measured at one rate.

    Attributes:
        rate: Calls a second.
        calls: How many there were.
        errors: Those that failed, by code.
        unanswered: Those that had no answer when the wanted latency was over.
        latencies: Of the answered.
        late: How late the generator itself was.
        sent: How long the answered took from when the generator had a connection for them.
    """

    rate: float
    calls: int
    errors: Mapping[str, int]
    unanswered: int
    latencies: Latencies = field(repr=False)
    late: Latencies = field(repr=False)
    sent: Latencies = field(repr=False)

    def percentile(self, percent: float) -> float:
        """Milliseconds; infinity when it is one of the unanswered."""
        return self.latencies.percentile(percent, unanswered=self.unanswered)

    @property
    def errors_percent(self) -> float:
        """The share of the calls that failed."""
        return 100 * sum(self.errors.values()) / self.calls if self.calls else math.nan

    def broke(self, targets: Targets) -> Literal["p99", "errors", "generator"] | None:
        """What it broke, or None when it held."""
        if self.errors_percent > targets.errors_percent:
            return "errors"
        if self.percentile(99) <= targets.p99_ms:
            return None
        # a machine that starts its calls late, or has no connections left for them, has measured itself
        late = self.late.percentile(99) > _LATE * targets.p99_ms
        return "generator" if late or self.sent.percentile(99) <= targets.p99_ms else "p99"


class Ramp:
    """Doubles the rate until it breaks, then halves the gap between what held and what broke.

    Args:
        start: The first rate, calls a second.
        most: The highest to try.
        unit: Rates are multiples of it.

    Attributes:
        held: The highest rate that held, if any.
        broke: The lowest that did not, if any.
    """

    def __init__(self, start: float, *, most: float, unit: float = 1.0) -> None:
        self._start = start
        self._most = most
        self._unit = unit
        self.held: float | None = None
        self.broke: float | None = None

    def next(self) -> float | None:
        """The rate to try, or None at the end."""
        if self.held is None:
            return self._start if self.broke is None else None
        if self.broke is None:
            return min(self.held * GROWTH, self._most) if self.held < self._most else None
        between = round((self.held + self.broke) / 2 / self._unit) * self._unit
        if self.broke <= self.held * PRECISION or not self.held < between < self.broke:
            return None
        return between

    def saw(self, rate: float, *, held: bool) -> None:
        """Take the result of a step."""
        if held:
            self.held = rate
        else:
            self.broke = rate
