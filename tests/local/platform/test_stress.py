from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import random
import time

import pytest

from mme_local.hosting.spec import EndpointSpec

from .conftest import Hosted, World

SECONDS = float(os.environ.get("MME_STRESS_SECONDS", "1.0"))
SEEDS = range(int(os.environ.get("MME_STRESS_SEEDS", "1")))
MODELS = [f"m{number}" for number in range(12)]


def content(name: str) -> bytes:
    return name.encode() * (1 + 3000 * (MODELS.index(name) % 3))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("crashes", "updates"), [(True, False), (False, True)], ids=["servers crash", "the endpoint changes"]
)
@pytest.mark.parametrize(
    ("capacity", "one_load_at_a_time", "memory_budget", "model_cache"),
    [
        (3, False, 100_000, True),
        (1, False, 30_000, True),
        (2, True, 100_000, True),
        (3, False, 100_000, False),
    ],
    ids=["three models fit", "one model fits", "loads clash", "cache disabled"],
)
async def test_more_models_than_fit_under_eight_callers(
    hosted: Hosted,
    world: World,
    seed: int,
    crashes: bool,
    updates: bool,
    capacity: int,
    one_load_at_a_time: bool,
    memory_budget: int,
    model_cache: bool,
) -> None:
    """No wrong answer, no lost request, no model unloaded in use; only calls that a crash cut off fail, as such."""
    chance = random.Random(seed)
    world.capacity = capacity
    world.one_load_at_a_time = one_load_at_a_time
    at = hosted(memory_budget=memory_budget, disk_budget=60_000)
    for name in MODELS:
        at.bucket.put_model(f"models/{name}", content(name))

    def spec(count: int = 2) -> EndpointSpec:
        return at.spec(at.variant("AllTraffic", at.container(model_cache=model_cache), instance_count=count))

    await at.hosting.deploy(spec())
    answers: collections.Counter[int] = collections.Counter()
    end = time.monotonic() + SECONDS

    async def caller() -> None:
        while time.monotonic() < end:
            name = MODELS[min(int(chance.expovariate(0.3)), len(MODELS) - 1)]
            body = chance.randbytes(8)
            call = asyncio.create_task(at.invoke(name, body))
            if chance.random() < 0.05:
                await asyncio.sleep(chance.uniform(0, 0.01))
                call.cancel()  # a caller that hangs up
                with contextlib.suppress(asyncio.CancelledError):
                    await call
                continue
            status, _, answer = await asyncio.wait_for(call, 8)
            if status == 200:
                assert answer == content(name) + b"|" + body
            else:
                assert status == 424, answer
                assert b"could not get a response" in answer
            answers[status] += 1

    async def crasher() -> None:
        while crashes and time.monotonic() < end:
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            if world.running:
                chance.choice(world.running).crash()

    async def updater() -> None:
        while updates and time.monotonic() < end:
            await asyncio.sleep(chance.uniform(0.1, 0.3))
            change = chance.choice([at.hosting.deploy, at.hosting.adjust])
            await change(spec(chance.choice([1, 2])))

    await asyncio.gather(crasher(), updater(), *(caller() for _ in range(8)))
    assert answers[200]
    assert crashes or not answers[424]
    for variant in at.hosting._fleets["demo"].variants.values():
        for instance in variant.instances:
            assert instance.cache is not None
            models = list(instance.cache._models.values())
            assert instance.in_flight == 0
            assert all(model.in_use == 0 for model in models)
            assert instance.cache._memory.used == sum(model.memory_bytes for model in models)
            assert instance.disk.used == sum(model.disk_bytes for model in models)
