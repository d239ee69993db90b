"""Which model is called how often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from multi_model_endpoint.traffic import zipf_weights


def zipf(names: Sequence[str], exponent: float, seed: int = 0) -> dict[str, float]:
    """Shares of the calls by Zipf's law: the n-th most popular model is called in proportion to ``1 / n**exponent``.

    Args:
        names: The models.
        exponent: 0 when all are called equally often; about 1 is usual.
        seed: Decides which model is how popular, since nothing says that large ones are called more often.
    """
    order = sorted(names)
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    weights = zipf_weights(len(order), exponent)
    total = sum(weights)
    return {name: weight / total for name, weight in zip(order, weights, strict=True)}


def counted(calls: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Shares of the calls of a trace."""
    counts: Mapping[str, int] = Counter(calls)
    return {name: counts.get(name, 0) / len(calls) for name in names}
