"""Models that do not answer, and servers that answer wrong: replaced, at nobody's cost but the call that met it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

import pytest

from mme_local.platform import Settings
from mme_local.servers.base import ModelDied, ServerBroken, ServerResponse

from .conftest import Endpoints, FakeServer, Hosted, Until, World

HASTY = Settings(invoke_timeout=0.2, publish_interval=3600, restart_backoff=0.0)
PATIENT = Settings(publish_interval=3600, restart_backoff=0.0)

Deployed = Callable[..., Awaitable[Endpoints]]


def be_patient(at: Endpoints) -> None:
    """Let later calls wait longer than those before."""
    (instance,) = at.hosting._fleets["demo"].variants["AllTraffic"].instances
    assert instance._multi_model is not None
    instance._multi_model._settings = PATIENT


def message(answer: tuple[int, Mapping[str, str], bytes]) -> str:
    return str(json.loads(answer[2])["Message"])


@pytest.fixture
def deployed(hosted: Hosted) -> Deployed:
    """Make an endpoint with the models "a" and "b"."""

    async def deploy(settings: Settings = HASTY) -> Endpoints:
        at = hosted(settings=settings)
        for name in "ab":
            at.bucket.put_model(f"models/{name}", name.encode())
        await at.hosting.deploy(at.spec(at.variant("AllTraffic", at.container())))
        assert (await at.invoke("b"))[0] == 200
        return at

    return deploy


@pytest.fixture
async def at(deployed: Deployed) -> Endpoints:
    """One on which a model hangs until its gate opens."""
    return await deployed()


async def test_a_model_that_hangs_is_loaded_again_by_the_next_call_and_no_other_is(at: Endpoints, world: World) -> None:
    world.invoke_gates["a"] = asyncio.Event()
    hanging = await at.invoke("a")
    assert hanging[0] == 424
    assert "timed out" in message(hanging)
    assert (await at.invoke("a"))[0] == (await at.invoke("b"))[0] == 200
    assert world.loads == ["b", "a", "a"]
    assert (world.abandoned, len(world.servers)) == (["a"], 1)


async def test_calls_queued_behind_one_that_hangs_are_answered(at: Endpoints, world: World, until: Until) -> None:
    world.invoke_gates["a"] = asyncio.Event()
    first = asyncio.create_task(at.invoke("a", b"first"))
    await until(lambda: world.servers[0].invocations == 2)
    be_patient(at)
    second = asyncio.create_task(at.invoke("a", b"second"))
    await until(lambda: world.servers[0].invocations == 3)
    assert (await first)[0] == 424
    assert (await second)[2] == b"a|second"
    assert world.loads == ["b", "a", "a"]


async def test_a_server_that_cannot_end_what_hangs_is_replaced_and_calls_of_other_models_are_sent_again(
    at: Endpoints, world: World, until: Until
) -> None:
    world.unloads_what_hangs = False
    world.invoke_gates["a"] = asyncio.Event()
    first = asyncio.create_task(at.invoke("a"))
    await until(lambda: world.servers[0].invocations == 2)
    be_patient(at)
    world.invoke_gates["b"] = asyncio.Event()
    other = asyncio.create_task(at.invoke("b"))
    await until(lambda: world.servers[0].invocations == 3)
    assert (await first)[0] == 424
    assert (await other)[2] == b"b|x"
    assert (await at.invoke("a"))[0] == 200
    assert [server.state for server in world.servers] == ["stopped", "up"]


async def test_the_only_model_of_a_container_is_replaced_when_it_hangs(hosted: Hosted, world: World) -> None:
    at = hosted(settings=HASTY)
    at.bucket.put_model("models/one", b"one")
    one = at.container(multi_model=False, model_data_url=at.bucket.url + "one")
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", one)))
    world.invoke_gates["one"] = asyncio.Event()
    assert (await at.invoke(None))[0] == 424
    assert (await at.invoke(None))[2] == b"one|x"
    assert [server.state for server in world.servers] == ["stopped", "up"]


async def test_no_call_gets_what_a_server_answers_that_has_lost_count(deployed: Deployed, world: World) -> None:
    """Triton takes a late answer for that to the next call."""
    at = await deployed(settings=PATIENT)
    broken, late = world.servers[0], [b""]

    def answer(server: FakeServer, target_model: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        late.append(body)
        if server is broken and len(late) == 2:
            raise ServerBroken("Stub process 'a_0_0' is not healthy.")
        return ServerResponse(200, {}, late[-2] if server is broken else body)

    world.answer = answer
    bodies = [str(number).encode() for number in range(8)]
    answers = await asyncio.gather(*(at.invoke("a", body) for body in bodies))
    assert [(status, body) for status, _, body in answers] == [(200, body) for body in bodies]
    assert [server.state for server in world.servers] == ["stopped", "up"]


async def test_a_call_of_which_a_models_process_dies_gets_the_servers_answer_and_the_next_one_a_new_server(
    deployed: Deployed, world: World
) -> None:
    at = await deployed(settings=PATIENT)
    died = ServerResponse(400, {}, b"Stub process 'a_0_0' is not healthy.")
    poison = True

    def answer(server: FakeServer, target_model: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        if poison:
            raise ServerBroken("it died", died)
        return ServerResponse(200, {}, b"well")

    world.answer = answer
    answered = await at.invoke("a")
    assert (answered[0], json.loads(answered[2])["OriginalStatusCode"]) == (424, 400)
    poison = False
    assert (await at.invoke("a"))[2] == b"well"
    assert [server.state for server in world.servers] == ["stopped", "up"]


async def test_a_model_that_died_of_a_call_is_loaded_again_by_the_next_and_no_other_is(
    deployed: Deployed, world: World
) -> None:
    at = await deployed(settings=PATIENT)

    def answer(server: FakeServer, target_model: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        if body == b"poison":
            raise ModelDied(ServerResponse(500, {}, b"Worker died."))
        return ServerResponse(200, {}, b"well")

    world.answer = answer
    assert (await at.invoke("a", b"poison"))[0] == 424
    assert (await at.invoke("a"))[2] == (await at.invoke("b"))[2] == b"well"
    assert world.loads == ["b", "a", "a"]
    assert (world.abandoned, len(world.servers)) == (["a"], 1)


async def test_a_call_that_breaks_each_server_is_sent_twice_and_no_more(deployed: Deployed, world: World) -> None:
    at = await deployed(settings=PATIENT)

    def answer(server: FakeServer, target_model: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        raise ServerBroken("again")

    world.answer = answer
    assert (await at.invoke("a"))[0] == 424
    assert world.loads == ["b", "a", "a"]
