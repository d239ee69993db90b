"""Models that do not answer, and servers that answer wrong: replaced, at nobody's cost but the call that met it."""

from __future__ import annotations

import asyncio
import json

import pytest

from mme_local.platform import Settings
from mme_local.servers.base import ModelDied, ServerBroken, ServerResponse

HASTY = Settings(invoke_timeout=0.2, publish_interval=3600, restart_backoff=0.0)
PATIENT = Settings(publish_interval=3600, restart_backoff=0.0)


def be_patient(at):
    """Let later calls wait longer than those before."""
    (instance,) = at.hosting._fleets["demo"].variants["AllTraffic"].instances
    instance._multi_model._settings = PATIENT


def message(answer):
    return json.loads(answer[2])["Message"]


@pytest.fixture
def deployed(run, world):
    """Run a test on an endpoint with the models "a" and "b", of which "a" hangs until the gate opens."""

    def runner(test, *, settings=HASTY, **container):
        async def main(at):
            for name in "ab":
                at.bucket.put_model(f"models/{name}", name.encode())
            await at.hosting.deploy(at.spec(at.variant("AllTraffic", at.container(**container))))
            assert (await at.invoke("b"))[0] == 200
            await test(at)

        run(main, settings=settings)

    return runner


def test_a_model_that_hangs_is_loaded_again_by_the_next_call_and_no_other_is(deployed, world):
    async def test(at):
        world.invoke_gates["a"] = asyncio.Event()
        hanging = await at.invoke("a")
        assert hanging[0] == 424
        assert "timed out" in message(hanging)
        assert (await at.invoke("a"))[0] == (await at.invoke("b"))[0] == 200
        assert world.loads == ["b", "a", "a"]
        assert (world.abandoned, len(world.servers)) == (["a"], 1)

    deployed(test)


def test_calls_queued_behind_one_that_hangs_are_answered(deployed, world, until):
    async def test(at):
        world.invoke_gates["a"] = asyncio.Event()
        first = asyncio.create_task(at.invoke("a", b"first"))
        await until(lambda: world.servers[0].invocations == 2)
        be_patient(at)
        second = asyncio.create_task(at.invoke("a", b"second"))
        await until(lambda: world.servers[0].invocations == 3)
        assert (await first)[0] == 424
        assert (await second)[2] == b"a|second"
        assert world.loads == ["b", "a", "a"]

    deployed(test)


def test_a_server_that_cannot_end_what_hangs_is_replaced_and_calls_of_other_models_are_sent_again(
    deployed, world, until
):
    async def test(at):
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

    deployed(test)


def test_the_only_model_of_a_container_is_replaced_when_it_hangs(run, world):
    async def test(at):
        at.bucket.put_model("models/one", b"one")
        one = at.container(multi_model=False, model_data_url=at.bucket.url + "one")
        await at.hosting.deploy(at.spec(at.variant("AllTraffic", one)))
        world.invoke_gates["one"] = asyncio.Event()
        assert (await at.invoke(None))[0] == 424
        assert (await at.invoke(None))[2] == b"one|x"
        assert [server.state for server in world.servers] == ["stopped", "up"]

    run(test, settings=HASTY)


def test_no_call_gets_what_a_server_answers_that_has_lost_count(deployed, world):
    """Triton takes a late answer for that to the next call."""

    async def test(at):
        broken, late = world.servers[0], [b""]

        def answer(server, target_model, body, headers):
            late.append(body)
            if server is broken and len(late) == 2:
                raise ServerBroken("Stub process 'a_0_0' is not healthy.")
            return ServerResponse(200, {}, late[-2] if server is broken else body)

        world.answer = answer
        bodies = [str(number).encode() for number in range(8)]
        answers = await asyncio.gather(*(at.invoke("a", body) for body in bodies))
        assert [(status, body) for status, _, body in answers] == [(200, body) for body in bodies]
        assert [server.state for server in world.servers] == ["stopped", "up"]

    deployed(test, settings=PATIENT)


def test_a_call_of_which_a_models_process_dies_gets_the_servers_answer_and_the_next_one_a_new_server(deployed, world):
    async def test(at):
        died = ServerResponse(400, {}, b"Stub process 'a_0_0' is not healthy.")
        poison = True

        def answer(server, target_model, body, headers):
            if poison:
                raise ServerBroken("it died", died)
            return ServerResponse(200, {}, b"well")

        world.answer = answer
        answered = await at.invoke("a")
        assert (answered[0], json.loads(answered[2])["OriginalStatusCode"]) == (424, 400)
        poison = False
        assert (await at.invoke("a"))[2] == b"well"
        assert [server.state for server in world.servers] == ["stopped", "up"]

    deployed(test, settings=PATIENT)


def test_a_model_that_died_of_a_call_is_loaded_again_by_the_next_and_no_other_is(deployed, world):
    async def test(at):
        def answer(server, target_model, body, headers):
            if body == b"poison":
                raise ModelDied(ServerResponse(500, {}, b"Worker died."))
            return ServerResponse(200, {}, b"well")

        world.answer = answer
        assert (await at.invoke("a", b"poison"))[0] == 424
        assert (await at.invoke("a"))[2] == (await at.invoke("b"))[2] == b"well"
        assert world.loads == ["b", "a", "a"]
        assert (world.abandoned, len(world.servers)) == (["a"], 1)

    deployed(test, settings=PATIENT)


def test_a_call_that_breaks_each_server_is_sent_twice_and_no_more(deployed, world):
    async def test(at):
        def answer(server, target_model, body, headers):
            raise ServerBroken("again")

        world.answer = answer
        assert (await at.invoke("a"))[0] == 424
        assert world.loads == ["b", "a", "a"]

    deployed(test, settings=PATIENT)
