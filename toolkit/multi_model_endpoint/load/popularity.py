"""Which models are called how often."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import accumulate

from multi_model_endpoint.traffic import zipf_weights


class Popularity:
    """A choice among models.

    Args:
        weights: The share of the calls that each model or alias gets, in any unit.

    Attributes:
        weights: The same, the most popular first.

    Raises:
        ValueError: If there are no models, or a weight is not above 0.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        if not weights:
            raise ValueError("weights must have at least one model")
        for model, weight in weights.items():
            if not 0 < weight < float("inf"):
                raise ValueError(f"the weight of {model!r} must be above 0, got {weight}")
        self.weights = dict(sorted(weights.items(), key=lambda each: -each[1]))
        self._models = list(self.weights)
        self._sums = list(accumulate(self.weights.values()))

    @classmethod
    def zipf(cls, models: Sequence[str], exponent: float = 1.0) -> Popularity:
        """The model at place n gets a share of 1 / n to the power of the exponent; with 0 all get the same.

        Raises:
            ValueError: If there are no models, or the exponent is below 0.
        """
        if exponent < 0:
            raise ValueError(f"exponent must be at least 0, got {exponent}")
        return cls(dict(zip(models, zipf_weights(len(models), exponent), strict=True)))

    def choose(self, source: random.Random) -> str:
        """Draw a model."""
        return source.choices(self._models, cum_weights=self._sums)[0]
