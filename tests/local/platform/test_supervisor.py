from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.platform.settings import Settings
from mme_local.platform.supervisor import Supervisor
from mme_local.servers.base import ContainerServer, ServerError

from .conftest import Until, World, assert_all_over

Supervised = Callable[..., Awaitable[Supervisor]]


@pytest.fixture
async def supervised(world: World, tmp_path: Path) -> AsyncIterator[Supervised]:
    """Make a supervisor, which is stopped after the test."""
    before = asyncio.all_tasks()
    supervisors: list[Supervisor] = []

    async def supervise(*, start: bool = True, **settings: Any) -> Supervisor:
        supervisor = Supervisor(
            lambda generation: world.make(ContainerSpec(image="mms", multi_model=True), tmp_path),
            startup_timeout=5,
            settings=Settings(**{"restart_backoff": 0.0, "watch_interval": 3600, **settings}),
            label="test",
        )
        supervisors.append(supervisor)
        if start:
            await supervisor.start()
        return supervisor

    yield supervise
    for supervisor in supervisors:
        await supervisor.stop()
    assert not world.running
    assert_all_over(before)


@pytest.fixture
async def supervisor(supervised: Supervised) -> Supervisor:
    return await supervised()


async def test_a_start_that_fails_says_why(supervised: Supervised, world: World) -> None:
    supervisor = await supervised(start=False)
    world.start_error = "no Java"
    with pytest.raises(ServerError, match="no Java"):
        await supervisor.start()
    assert not supervisor.up


async def test_a_dead_server_is_replaced_once_however_many_calls_saw_it_die(
    supervisor: Supervisor, world: World
) -> None:
    world.servers[-1].crash()
    assert all(await asyncio.gather(*(supervisor.died(0) for _ in range(20))))
    assert await supervisor.ready(5) is world.servers[1]
    assert (supervisor.generation, len(world.servers)) == (1, 2)
    assert world.servers[0].state == "stopped"


async def test_a_server_that_answers_its_ping_is_not_replaced(supervisor: Supervisor, world: World) -> None:
    assert not await supervisor.died(0)
    assert (supervisor.generation, len(world.servers)) == (0, 1)


async def test_a_late_report_about_an_earlier_server_changes_nothing(supervisor: Supervisor, world: World) -> None:
    world.servers[-1].crash()
    await supervisor.died(0)
    await supervisor.ready(5)
    assert await supervisor.died(0)
    assert (supervisor.generation, len(world.servers)) == (1, 2)


async def test_a_server_that_dies_between_calls_is_noticed(supervised: Supervised, world: World, until: Until) -> None:
    supervisor = await supervised(watch_interval=0.005)
    world.servers[-1].crash()
    await until(lambda: supervisor.generation == 1 and supervisor.up)


async def test_one_missed_ping_of_a_busy_server_is_forgiven(
    supervised: Supervised, world: World, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = await supervised(watch_interval=0.001, failed_pings=2)
    pings = []
    real = supervisor.server.ping

    async def ping() -> bool:
        pings.append(1)
        return len(pings) % 2 == 0 and await real()

    monkeypatch.setattr(supervisor.server, "ping", ping)
    await until(lambda: len(pings) > 10)
    assert supervisor.generation == 0


async def test_a_server_that_does_not_come_back_is_given_up_and_tried_again_after_a_rest(
    supervised: Supervised, world: World, until: Until
) -> None:
    supervisor = await supervised(max_restarts=3)
    world.start_error = "port taken"
    world.servers[-1].crash()
    await supervisor.died(0)
    with pytest.raises(ServerError, match="port taken"):
        await supervisor.ready(5)
    assert len(world.servers) == 1 + 3
    with pytest.raises(ServerError, match="port taken"):
        await supervisor.ready(5)
    assert len(world.servers) == 1 + 3, "no new try before the rest is over"
    world.start_error = None
    supervisor._last_death -= 3600
    await supervisor.ready(5)
    assert supervisor.up


async def test_pauses_between_restarts_grow_and_are_bounded(supervised: Supervised) -> None:
    supervisor = await supervised(restart_backoff=1.0, restart_backoff_max=5.0)
    assert [supervisor._pause(n) for n in range(6)] == [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]


async def test_stopping_in_the_middle_of_a_restart_leaves_nothing(
    supervisor: Supervisor, world: World, until: Until
) -> None:
    world.start_gate = asyncio.Event()
    world.servers[-1].crash()
    await supervisor.died(0)
    await until(lambda: len(world.servers) == 2)


async def test_whoever_waits_for_a_restart_gets_the_new_server(
    supervisor: Supervisor, world: World, until: Until
) -> None:
    world.start_gate = asyncio.Event()
    world.servers[-1].crash()
    await supervisor.died(0)
    waiting = [asyncio.create_task(supervisor.ready(5)) for _ in range(3)]
    await until(lambda: len(world.servers) == 2)
    world.start_gate.set()
    assert set(await asyncio.gather(*waiting)) == {world.servers[1]}


async def test_a_new_server_is_prepared_before_it_takes_calls(supervisor: Supervisor, world: World) -> None:
    prepared = []

    async def prepare(server: ContainerServer) -> None:
        assert not supervisor.up
        prepared.append(server)

    supervisor.prepare = prepare
    world.servers[-1].crash()
    await supervisor.died(0)
    await supervisor.ready(5)
    assert prepared == [world.servers[1]]
