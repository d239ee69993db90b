from __future__ import annotations

import asyncio

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.platform.settings import Settings
from mme_local.platform.supervisor import Supervisor
from mme_local.servers.base import ServerError


@pytest.fixture
def supervised(world, tmp_path):
    def run(test, *, start=True, **settings):
        async def main():
            supervisor = Supervisor(
                lambda generation: world.make(ContainerSpec(image="mms", multi_model=True), tmp_path),
                startup_timeout=5,
                settings=Settings(**{"restart_backoff": 0.0, "watch_interval": 3600, **settings}),
                label="test",
            )
            if start:
                await supervisor.start()
            try:
                await asyncio.wait_for(test(supervisor), 20)
            finally:
                await supervisor.stop()
            assert not world.running
            assert not [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

        asyncio.run(main())

    return run


def test_a_start_that_fails_says_why(supervised, world):
    async def test(s):
        world.start_error = "no Java"
        with pytest.raises(ServerError, match="no Java"):
            await s.start()
        assert not s.up

    supervised(test, start=False)


def test_a_dead_server_is_replaced_once_however_many_calls_saw_it_die(supervised, world):
    async def test(s):
        s.server.crash()
        assert all(await asyncio.gather(*(s.died(0) for _ in range(20))))
        assert await s.ready(5) is world.servers[1]
        assert (s.generation, len(world.servers)) == (1, 2)
        assert world.servers[0].state == "stopped"

    supervised(test)


def test_a_server_that_answers_its_ping_is_not_replaced(supervised, world):
    async def test(s):
        assert not await s.died(0)
        assert (s.generation, len(world.servers)) == (0, 1)

    supervised(test)


def test_a_late_report_about_an_earlier_server_changes_nothing(supervised, world):
    async def test(s):
        s.server.crash()
        await s.died(0)
        await s.ready(5)
        assert await s.died(0)
        assert (s.generation, len(world.servers)) == (1, 2)

    supervised(test)


def test_a_server_that_dies_between_calls_is_noticed(supervised, world, until):
    async def test(s):
        s.server.crash()
        await until(lambda: s.generation == 1 and s.up)

    supervised(test, watch_interval=0.005)


def test_one_missed_ping_of_a_busy_server_is_forgiven(supervised, world, until):
    async def test(s):
        pings = []
        real = s.server.ping

        async def ping():
            pings.append(1)
            return len(pings) % 2 == 0 and await real()

        s.server.ping = ping
        await until(lambda: len(pings) > 10)
        assert s.generation == 0

    supervised(test, watch_interval=0.001, failed_pings=2)


def test_a_server_that_does_not_come_back_is_given_up_and_tried_again_after_a_rest(supervised, world, until):
    async def test(s):
        world.start_error = "port taken"
        s.server.crash()
        await s.died(0)
        with pytest.raises(ServerError, match="port taken"):
            await s.ready(5)
        assert len(world.servers) == 1 + 3
        with pytest.raises(ServerError, match="port taken"):
            await s.ready(5)
        assert len(world.servers) == 1 + 3, "no new try before the rest is over"
        world.start_error = None
        s._last_death -= 3600
        await s.ready(5)
        assert s.up

    supervised(test, max_restarts=3)


def test_pauses_between_restarts_grow_and_are_bounded(supervised):
    async def test(s):
        assert [s._pause(n) for n in range(6)] == [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]

    supervised(test, restart_backoff=1.0, restart_backoff_max=5.0)


def test_stopping_in_the_middle_of_a_restart_leaves_nothing(supervised, world, until):
    async def test(s):
        world.start_gate = asyncio.Event()
        s.server.crash()
        await s.died(0)
        await until(lambda: len(world.servers) == 2)

    supervised(test)


def test_whoever_waits_for_a_restart_gets_the_new_server(supervised, world, until):
    async def test(s):
        world.start_gate = asyncio.Event()
        s.server.crash()
        await s.died(0)
        waiting = [asyncio.create_task(s.ready(5)) for _ in range(3)]
        await until(lambda: len(world.servers) == 2)
        world.start_gate.set()
        assert set(await asyncio.gather(*waiting)) == {world.servers[1]}

    supervised(test)


def test_a_new_server_is_prepared_before_it_takes_calls(supervised, world):
    async def test(s):
        prepared = []

        async def prepare(server):
            assert not s.up
            prepared.append(server)

        s.prepare = prepare
        s.server.crash()
        await s.died(0)
        await s.ready(5)
        assert prepared == [world.servers[1]]

    supervised(test)
