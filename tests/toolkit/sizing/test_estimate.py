"""What is said of instances."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from multi_model_endpoint.instances import instance_types
from multi_model_endpoint.sizing.assumptions import Assumptions
from multi_model_endpoint.sizing.demand import Demand, SizedModel
from multi_model_endpoint.sizing.estimate import GIB, Machine, Sizing
from multi_model_endpoint.sizing.popularity import zipf

MACHINE = Machine("ml.test", 4, 10 * GIB, price=0.5)
EXACT = Assumptions(reserve=0, memory_factor=1, bandwidth=GIB, load_seconds=1)


def demand(sizes: list[float], rate: float = 1e-6, exponent: float = 1) -> Demand:
    models = {f"m{n:05}": SizedModel(f"m{n:05}", int(gib * GIB), int(gib * GIB)) for n, gib in enumerate(sizes)}
    return Demand(models, zipf(list(models), exponent), rate)


def test_the_fewest_instances_that_are_enough_are_found() -> None:
    chance = random.Random(1)
    sizing = Sizing(demand([chance.lognormvariate(-2.5, 0.5) for _ in range(2000)]), EXACT)
    found = sizing.smallest(MACHINE)
    assert found is not None
    assert found.hit_ratio >= 0.95 > sizing.estimate(MACHINE, found.count - 1).hit_ratio
    assert found.monthly == found.count * 0.5 * 730


def test_ten_thousand_models_on_several_types_are_said_at_once() -> None:
    chance = random.Random(1)
    sizing = Sizing(demand([chance.lognormvariate(-2.5, 1) for _ in range(10_000)]), EXACT)
    assert all(sizing.smallest(replace(MACHINE, memory=memory * GIB)) for memory in (16, 64, 256))


def test_two_instances_are_the_fewest() -> None:
    found = Sizing(demand([0.1]), EXACT).smallest(MACHINE)
    assert found is not None
    assert (found.count, found.hit_ratio, found.loads_per_second) == (2, 1, 0)
    # of its first call
    assert found.cold_p50 == pytest.approx(1.1)
    assert found.wait_p99 == 0


def test_few_that_fit_are_simulated() -> None:
    found = Sizing(demand([1.0] * 5, exponent=0), EXACT).estimate(Machine("ml.test", 4, 2 * GIB), 1)
    assert found.hit_ratio == pytest.approx(0.4, abs=0.01)
    assert found.fits == 2


def test_the_reserve_is_not_for_models() -> None:
    found = Sizing(demand([1.0]), replace(EXACT, reserve=0.25)).estimate(MACHINE, 1)
    assert found.model_memory == 7.5 * GIB


def test_memory_is_what_was_measured_else_files_and_what_is_added() -> None:
    assumed = Assumptions(memory_factor=2, overhead=3)
    assert assumed.memory(SizedModel("a", 10, 20)) == 43
    assert assumed.memory(SizedModel("a", 10, 20, measured=5)) == 5


def test_cold_calls_wait_for_the_download_and_the_load() -> None:
    found = Sizing(demand([1.0] * 30, exponent=0), EXACT).estimate(MACHINE, 1)
    assert (found.cold_p50, found.cold_p99, found.wait_p99) == (2, 2, 2)
    assert found.loads_per_second == pytest.approx(1e-6 * (1 - found.hit_ratio))


def test_a_cold_call_waits_for_all_that_have_to_go() -> None:
    asked = replace(demand([1, 1, 1, 3]), trace=["m00000", "m00001", "m00002", "m00003"])
    found = Sizing(asked, replace(EXACT, unload_seconds=5)).estimate(replace(MACHINE, memory=3 * GIB), 1)
    assert found.cold_p50 == pytest.approx(2)
    assert found.cold_p99 == pytest.approx(3 + 1 + 3 * 5)


def test_loads_take_as_long_as_those_that_were_seen() -> None:
    seen = replace(EXACT, load_seconds=2, load_spread=(0.5, 1, 4))
    found = Sizing(demand([1.0] * 30, exponent=0), seen).estimate(MACHINE, 1)
    assert [found.cold_p50, found.cold_p99] == pytest.approx([3, 9])


def test_cold_calls_wait_for_the_unload_of_another_where_not_all_fit() -> None:
    sizing = Sizing(demand([1.0] * 30, exponent=0), replace(EXACT, unload_seconds=5))
    assert [sizing.estimate(MACHINE, count).cold_p50 for count in (1, 3)] == [7, 2]


def test_a_trace_fills_the_memory_before_anything_has_to_go() -> None:
    asked = replace(demand([6.0, 4.0, 4.0], exponent=0), trace=["m00000", "m00001", "m00002"])
    found = Sizing(asked, replace(EXACT, unload_seconds=100)).estimate(MACHINE, 1)
    assert found.cold_p50 < 10
    assert found.cold_p99 == 105


def test_calls_of_a_model_that_is_being_loaded_wait_for_the_same_load() -> None:
    alone = Sizing(demand([1.0] * 30, exponent=0), EXACT).estimate(MACHINE, 1)
    # each model is called every third second, and takes two to load
    found = Sizing(demand([1.0] * 30, exponent=0, rate=10), EXACT).estimate(MACHINE, 1)
    missed = 1 - alone.hit_ratio
    loads = missed / (1 + missed * 2 / 3)
    assert found.loads_per_second / 10 == pytest.approx(loads, rel=0.02)
    assert 1 - found.hit_ratio == pytest.approx(loads * (1 + 2 / 3), rel=0.02)
    assert found.loading == pytest.approx(10 * loads * 2, rel=0.02)


def test_processors_take_more_instances_than_memory_does() -> None:
    sizing = Sizing(demand([0.1] * 10, rate=100), replace(EXACT, cpu_seconds=0.1))
    found = sizing.smallest(MACHINE)
    assert found is not None
    assert (found.count, found.cpu) == (5, 0.5)


def test_a_model_that_one_instance_can_not_serve_is_on_several() -> None:
    sizing = Sizing(demand([1.0], rate=100), replace(EXACT, cpu_seconds=0.1))
    # five copies, and room for a download
    assert [sizing.estimate(MACHINE, count).disk / GIB for count in (1, 5, 10)] == [2, 2, 1.5]


def test_what_never_fits_is_counted() -> None:
    found = Sizing(demand([11.0, 1.0], exponent=0), EXACT).estimate(MACHINE, 2)
    assert (found.too_big, found.meets) == (1, False)
    assert found.hit_ratio == pytest.approx(0.5, abs=0.01)
    assert not Sizing(demand([11.0, 1.0]), replace(EXACT, hit_ratio=0)).estimate(MACHINE, 2).meets
    assert Sizing(demand([11.0, 1.0], exponent=0), EXACT).smallest(MACHINE) is None


def test_a_trace_is_replayed_with_its_first_calls() -> None:
    asked = replace(demand([6.0, 6.0], exponent=0), trace=["m00000", "m00000", "m00001", "m00000"])
    found = Sizing(asked, EXACT).estimate(MACHINE, 1)
    assert found.hit_ratio == pytest.approx(0.25, abs=1e-4)
    assert found.first == 0.5
    assert Sizing(asked, EXACT).estimate(MACHINE, 2).hit_ratio == pytest.approx(0.5, abs=1e-4)


def test_memory_of_gpus_counts_where_there_are_some() -> None:
    gpu = Machine.of("ml.g5.xlarge", instance_types()["ml.g5.xlarge"], None, None)
    assert (gpu.memory, gpu.volume) == (22888 * 1024**2, False)
    cpu = Machine.of("ml.m5.xlarge", instance_types()["ml.m5.xlarge"], None, None)
    assert (cpu.memory, cpu.vcpus, cpu.volume) == (16 * GIB, 4, True)


def test_a_type_that_nobody_knows_takes_a_word_on_its_memory() -> None:
    assert Machine.of("ml.new.large", None, 5, 1.0) == Machine("ml.new.large", None, 5, True, 1.0)
    with pytest.raises(ValueError, match=r"of 'ml\.new\.large' is not known: say --memory ml\.new\.large=GIB"):
        Machine.of("ml.new.large", None, None, None)
