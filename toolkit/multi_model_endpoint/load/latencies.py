"""Percentiles of latencies that several processes have counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

_LEAST = 0.1  # milliseconds
_STEP = math.log(1.02)


class Latencies:
    """How many calls took how long, to 2 percent.

    Args:
        counts: Pairs of a bucket and its calls, as ``pairs`` gives them.
    """

    def __init__(self, counts: Iterable[tuple[int, int]] = ()) -> None:
        self._counts = Counter(dict(counts))

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, seconds: float) -> None:
        """Count a call."""
        self._counts[max(0, math.ceil(math.log(max(seconds * 1000, _LEAST) / _LEAST) / _STEP))] += 1

    def merge(self, other: Latencies) -> None:
        """Count what another has counted, too."""
        self._counts.update(other._counts)

    def pairs(self) -> list[tuple[int, int]]:
        """All of it as plain numbers, to send."""
        return list(self._counts.items())

    def percentile(self, percent: float, *, unanswered: int = 0) -> float:
        """The milliseconds that so many percent of the calls took at most.

        Args:
            percent: Above 0, up to 100.
            unanswered: Calls beside these that took longer than any.

        Returns:
            Infinity when the one in question is among the unanswered, and not a number when there are no calls.
        """
        total = len(self) + unanswered
        if not total:
            return math.nan
        left = math.ceil(total * percent / 100)
        for bucket, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return _LEAST * math.exp(bucket * _STEP)
        return math.inf
