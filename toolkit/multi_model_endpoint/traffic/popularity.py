"""How much more popular some models are."""

from __future__ import annotations


def zipf_weights(number: int, exponent: float) -> list[float]:
    """How often models are called by Zipf's law, the most popular first: the n-th as ``1 / n**exponent``."""
    return [float(place) ** -exponent for place in range(1, number + 1)]
