"""What models take of a real server: what is measured of some, and what follows for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from statistics import mean, median
from typing import Protocol, cast

from multi_model_endpoint.traffic import Payload

from .assumptions import Assumptions
from .demand import SizedModel

_SPREAD = 5
_INSTALLED = "multi_model_endpoint.measuring"


class NotMeasuredError(Exception):
    """Models that could not be measured; the message says why."""


@dataclass(frozen=True)
class Measured:
    """What a model took.

    Attributes:
        memory: Bytes of memory, once it was loaded and called.
        load_seconds: The time of its load from disk.
        unload_seconds: The time of its unload.
        cpu_seconds: The processor time of a call; None where it was not called.
    """

    memory: int
    load_seconds: float
    unload_seconds: float
    cpu_seconds: float | None


class Measure(Protocol):
    """Loads models on the server that an image has, and calls them."""

    def __call__(self, image: str, sources: Sequence[Path], payloads: Sequence[Payload | None]) -> Sequence[Measured]:
        """Measure models, and call those that have a payload.

        Raises:
            NotMeasuredError: If the server does not start, load one, or answer.
        """


def installed() -> Measure:
    """What measures, of whichever package is installed.

    Raises:
        NotMeasuredError: If none is.
    """
    for found in entry_points(group=_INSTALLED):
        return cast(Measure, found.load())
    raise NotMeasuredError("it takes the local endpoint: pip install 'multi-model-endpoint[local]' brings it")


def sample(models: Sequence[SizedModel], number: int) -> list[SizedModel]:
    """So many models, from the smallest to the largest."""
    ordered = sorted(models, key=lambda model: model.unpacked)
    number = min(number, len(ordered))
    return [ordered[round(place * (len(ordered) - 1) / max(1, number - 1))] for place in range(number)]


def concluded(assumptions: Assumptions, models: Sequence[SizedModel], measured: Sequence[Measured]) -> Assumptions:
    """What follows for all models: a line through memory by size, the loads, the median unload, the mean call."""
    factor, overhead = _line([model.unpacked for model in models], [each.memory for each in measured])
    loads = sorted(each.load_seconds for each in measured)
    calls = [each.cpu_seconds for each in measured if each.cpu_seconds is not None]
    return replace(
        assumptions,
        memory_factor=factor,
        overhead=round(overhead),
        load_seconds=median(loads),
        load_spread=tuple(load / median(loads) for load in _some(loads)),
        unload_seconds=median(each.unload_seconds for each in measured),
        cpu_seconds=mean(calls) if calls else assumptions.cpu_seconds,
    )


def _some(ordered: Sequence[float]) -> Sequence[float]:
    """A few of them, evenly spread."""
    number = min(_SPREAD, len(ordered))
    return [ordered[len(ordered) * (2 * place + 1) // (2 * number)] for place in range(number)]


def _line(sizes: Sequence[int], memory: Sequence[int]) -> tuple[float, float]:
    """The factor and the rest of ``memory = factor * size + rest``, none below zero; of one size the rest alone."""
    middle, average = mean(sizes), mean(memory)
    spread = sum((size - middle) ** 2 for size in sizes)
    if not spread:
        return (1.0, average - middle) if average > middle else (average / middle, 0.0)
    factor = max(0.0, sum((s - middle) * (m - average) for s, m in zip(sizes, memory, strict=True)) / spread)
    if factor * middle > average:
        return average / middle, 0.0
    return factor, average - factor * middle
