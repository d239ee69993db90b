"""Che's approximation, held against a simulation of the same cache."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from multi_model_endpoint.sizing.cache import Caches, Item, grouped, quantile
from multi_model_endpoint.sizing.popularity import counted, zipf
from multi_model_endpoint.sizing.simulation import replay


def simulated(
    sizes: Mapping[str, float], shares: Mapping[str, float], memory: float, instances: int, calls: int
) -> float:
    """The hit ratio of a full cache."""
    chance = random.Random(13)
    trace = chance.choices(list(shares), list(shares.values()), k=2 * calls)
    return replay(trace, sizes, memory, instances=instances, skip=calls).hit_ratio


def predicted(sizes: Mapping[str, float], shares: Mapping[str, float], memory: float, instances: int) -> float:
    items = [Item(shares[name], sizes[name]) for name in sizes]
    return hits(items, Caches(items).misses(memory, instances))


def hits(items: list[Item], misses: list[float]) -> float:
    return 1 - sum(item.rate * item.number * miss for item, miss in zip(items, misses, strict=True))


@pytest.mark.parametrize(
    ("models", "exponent", "share", "instances"),
    [
        pytest.param(2000, 0.8, 0.2, 1, id="many"),
        pytest.param(2000, 1.2, 0.05, 1, id="skewed"),
        pytest.param(2000, 0.0, 0.5, 1, id="all alike"),
        pytest.param(300, 0.9, 0.4, 1, id="few"),
        pytest.param(2000, 0.8, 0.05, 4, id="four instances"),
    ],
)
def test_the_prediction_is_what_a_simulation_gives(models: int, exponent: float, share: float, instances: int) -> None:
    chance = random.Random(models)
    sizes = {f"model-{number}": chance.lognormvariate(0, 1) for number in range(models)}
    shares = zipf(list(sizes), exponent)
    memory = max(share * sum(sizes.values()), max(sizes.values()))
    found = simulated(sizes, shares, memory, instances, 40 * models)
    assert predicted(sizes, shares, memory, instances) == pytest.approx(found, abs=0.01)


def test_what_fits_is_never_loaded_again() -> None:
    items = [Item(0.75, 4), Item(0.25, 6)]
    assert Caches(items).misses(10) == [0, 0]
    assert Caches(items).misses(6, 2) == [0, 0]


def test_what_can_not_fit_is_loaded_for_each_call() -> None:
    assert Caches([Item(0.5, 4), Item(0.5, 1)]).misses(3) == [1.0, 0.0]


def test_many_models_are_joined_without_a_difference() -> None:
    chance = random.Random(1)
    names = [f"model-{number}" for number in range(10_000)]
    shares = zipf(names, 0.9)
    items = [Item(shares[name], chance.lognormvariate(0, 1)) for name in names]
    memory = 0.2 * sum(item.size for item in items)
    groups = grouped(items)
    fewer = [item for item, _ in groups]
    assert sorted(index for _, indices in groups for index in indices) == list(range(10_000))
    assert len(fewer) < 1000
    assert sum(item.number for item in fewer) == 10_000
    one_by_one = hits(items, Caches(items).misses(memory))
    assert hits(fewer, Caches(fewer).misses(memory)) == pytest.approx(one_by_one, abs=0.0005)


def test_zipf_adds_up_and_is_the_same_each_time() -> None:
    shares = zipf(["a", "b", "c"], 1)
    assert sum(shares.values()) == pytest.approx(1)
    assert sorted(shares.values()) == pytest.approx([2 / 11, 3 / 11, 6 / 11])
    assert zipf(["c", "b", "a"], 1) == shares


def test_models_that_a_trace_does_not_call_are_never_called() -> None:
    assert counted(["a", "b", "a", "a"], ["a", "b", "c"]) == {"a": 0.75, "b": 0.25, "c": 0}


def test_a_quantile_is_one_of_the_values() -> None:
    values = [(3.0, 0.1), (1.0, 0.8), (2.0, 0.1)]
    assert [quantile(values, share) for share in (0.5, 0.85, 0.99)] == [1, 2, 3]
    assert quantile([], 0.5) == 0
