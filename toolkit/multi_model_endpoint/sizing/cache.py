"""How many calls find their model in memory: Che's approximation for least recently used caches, with sizes.

A model is still in memory at its next call when the distinct models that were called since then leave room for it.
How many bytes these take in a time T is, on average, ``sum(size * (1 - exp(-rate * T)))``; so a model stays for the
time T in which that grows to what the memory has beside it, and finds itself there with ``1 - exp(-rate * T)``.

H. Che, Y. Tung, Z. Wang: Hierarchical Web Caching Systems, IEEE JSAC 20 (2002); C. Fricker, P. Robert, J. Roberts: A
versatile and accurate approximation for LRU cache performance, ITC 24 (2012).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import exp, expm1, log

_STEP = 1.05  # between two times of the table, on which what lies between is interpolated


@dataclass(frozen=True)
class Item:
    """Models that are called equally often.

    Attributes:
        rate: The calls of each, in any unit.
        size: The bytes of each in memory, on average.
        number: How many they are; they may be parts of models.
    """

    rate: float
    size: float
    number: float = 1


@dataclass(frozen=True)
class Caches:
    """Caches of least recently used models, which share them evenly.

    Attributes:
        items: The models, of all caches together.
    """

    items: Sequence[Item]

    def misses(self, memory: float, count: int = 1) -> list[float]:
        """The share of the calls of each of the items that find their model not loaded.

        Args:
            memory: The bytes of each cache.
            count: How many caches there are.
        """
        if any(item.size > memory for item in self.items):
            fitting = iter(Caches([item for item in self.items if item.size <= memory]).misses(memory, count))
            return [next(fitting) if item.size <= memory else 1.0 for item in self.items]
        times, used = self._used
        whole = used[-1] / count
        shares = []
        for item in self.items:
            if not item.rate or whole <= memory:
                shares.append(0.0)  # all fit
            else:
                shares.append(_miss(item, memory, count, times, used))
        return shares

    @cached_property
    def _used(self) -> tuple[list[float], list[float]]:
        """Times, and how many bytes are called in each."""
        called = [item for item in self.items if item.rate > 0]
        if not called:
            return [0.0, 1.0], [0.0, 0.0]
        first = 1e-3 / sum(item.rate * item.number for item in called)
        last = 40 / min(item.rate for item in called)
        steps = int(log(last / first) / log(_STEP)) + 1
        times = [0.0, *(first * _STEP**step for step in range(steps + 1))]
        return times, [-sum(item.number * item.size * expm1(-item.rate * at) for item in called) for at in times]


def _miss(item: Item, memory: float, count: int, times: Sequence[float], used: Sequence[float]) -> float:
    """Solve ``used(T) = count * (memory - size * exp(-rate * T))`` by bisection.

    The item's own share of what is used is on both sides: only others take its room.
    """
    low, high = 0, len(times) - 1

    def too_long(at: float, bytes_used: float) -> bool:
        return bytes_used > count * (memory - item.size * exp(-item.rate * at))

    while high - low > 1:
        middle = (low + high) // 2
        if too_long(times[middle], used[middle]):
            high = middle
        else:
            low = middle
    begin, end = times[low], times[high]
    slope = (used[high] - used[low]) / (end - begin)
    for _ in range(8):
        at = (begin + end) / 2
        if too_long(at, used[low] + slope * (at - times[low])):
            end = at
        else:
            begin = at
    return exp(-item.rate * (begin + end) / 2)


def quantile(values: Sequence[tuple[float, float]], share: float) -> float:
    """The value that a share of all weight is at or below.

    Args:
        values: Values, each with its weight.
        share: 0 to 1.
    """
    ordered = sorted(values)
    if not ordered:
        return 0.0
    sums = [*accumulate(weight for _, weight in ordered)]
    return ordered[min(bisect_left(sums, share * sums[-1]), len(ordered) - 1)][0]


def grouped(items: Sequence[Item], apart: float = 1.01, most: int = 1000) -> list[tuple[Item, list[int]]]:
    """Join items that are called almost equally often, where there are many; with the indices of each group's.

    Args:
        items: The items.
        apart: How many times as often the most called of a group may be called as its least.
        most: So many items are left alone.
    """
    if len(items) <= most:
        return [(item, [index]) for index, item in enumerate(items)]
    ordered = sorted(range(len(items)), key=lambda index: items[index].rate)
    borders = [0]
    for place, index in enumerate(ordered):
        if items[index].rate > items[ordered[borders[-1]]].rate * apart:
            borders.append(place)
    groups = [ordered[begin:end] for begin, end in pairwise([*borders, len(ordered)])]
    return [(_joined([items[index] for index in group]), group) for group in groups]


def _joined(items: Sequence[Item]) -> Item:
    number = sum(item.number for item in items)
    rate = sum(item.rate * item.number for item in items) / number
    return Item(rate, sum(item.size * item.number for item in items) / number, number)
