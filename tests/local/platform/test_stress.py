from __future__ import annotations

import asyncio
import collections
import random
import time

import pytest

SECONDS = 2.0


@pytest.mark.parametrize("seed", [1, 2])
def test_more_models_than_fit_under_eight_callers_with_crashes(run, world, seed):
    """No wrong answer, no lost request, no model unloaded in use; only calls that a crash cut off fail, as such."""
    chance = random.Random(seed)
    models = [f"m{number}" for number in range(12)]

    async def test(at):
        world.capacity = 3
        for number, name in enumerate(models):
            at.bucket.put_model(f"models/{name}", name.encode() * (1 + 3000 * (number % 3)))
        await at.hosting.deploy(at.spec(at.variant(instance_count=2)))
        answers = collections.Counter()
        until = time.monotonic() + SECONDS

        async def caller(number):
            while time.monotonic() < until:
                name = models[min(int(chance.expovariate(0.3)), len(models) - 1)]
                body = chance.randbytes(8)
                status, _, answer = await at.invoke(name, body)
                if status == 200:
                    expected = name.encode() * (1 + 3000 * (models.index(name) % 3)) + b"|" + body
                    assert answer == expected
                else:
                    assert status == 424, answer
                    assert b"could not get a response" in answer
                answers[status] += 1

        async def crasher():
            while time.monotonic() < until:
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                if world.running:
                    chance.choice(world.running).crash()

        await asyncio.gather(crasher(), *(caller(number) for number in range(8)))
        assert answers[200] > 100
        assert answers[424] <= 8 * len(world.servers)
        assert len(world.unloads) > 10
        for variant in at.hosting._fleets["demo"].variants.values():
            for instance in variant.instances:
                assert instance.in_flight == 0
                assert all(model.in_use == 0 for model in instance.cache._models.values())

    run(test, memory_budget=100_000, disk_budget=60_000)
