"""Which models are called how often."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from multi_model_endpoint.load import Popularity


def drawn(popularity: Popularity) -> Counter[str]:
    source = random.Random(1)
    return Counter(popularity.choose(source) for _ in range(10_000))


def test_follows_the_weights() -> None:
    counts = drawn(Popularity({"rare": 1, "often": 3}))
    assert counts["often"] == pytest.approx(7500, rel=0.05)


def test_has_the_most_popular_first() -> None:
    assert list(Popularity({"rare": 1, "often": 3}).weights) == ["often", "rare"]


def test_of_zipf_falls_with_the_place() -> None:
    assert Popularity.zipf(["a", "b", "c"], 1.0).weights == pytest.approx({"a": 1, "b": 1 / 2, "c": 1 / 3})


def test_of_zipf_with_0_is_the_same_for_all() -> None:
    assert set(Popularity.zipf(["a", "b"], 0).weights.values()) == {1.0}


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_refuses_a_weight_that_is_none(weight: float) -> None:
    with pytest.raises(ValueError, match="the weight of 'churn' must be above 0, got"):
        Popularity({"churn": weight})


def test_refuses_no_models() -> None:
    with pytest.raises(ValueError, match="weights must have at least one model"):
        Popularity.zipf([])


def test_refuses_an_exponent_below_0() -> None:
    with pytest.raises(ValueError, match="exponent must be at least 0, got -1"):
        Popularity.zipf(["churn"], -1)
