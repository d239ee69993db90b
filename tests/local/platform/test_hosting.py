from __future__ import annotations

import asyncio
import collections
import contextlib
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from mme_local.hosting.plane import HostingError
from mme_local.hosting.spec import EndpointSpec
from mme_local.platform import Settings
from mme_local.servers.base import ServerResponse

from .conftest import Endpoints, FakeServer, Hosted, Pack, Until, World


class Traffic:
    """Callers that don't stop until told to, and what they were answered."""

    def __init__(self, at: Endpoints, callers: int = 8) -> None:
        self._at = at
        self._callers = callers
        self.answers: collections.Counter[tuple[int, bytes]] = collections.Counter()
        self._stop = False

    async def _call(self, number: int) -> None:
        while not self._stop:
            status, _, body = await self._at.invoke(f"{number % 3}.tar.gz", b"x")
            self.answers[status, body.partition(b"|")[0] if status == 200 else body] += 1
            await asyncio.sleep(0)  # an error may be answered without ever waiting

    async def __aenter__(self) -> Self:
        for number in range(3):
            self._at.bucket.put_model(f"models/{number}.tar.gz", b"model %d" % number)
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(self._callers)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)

    @property
    def only_right_answers(self) -> bool:
        return set(self.answers) <= {(200, b"model %d" % number) for number in range(3)}


async def test_answers_with_the_prediction_of_the_named_model(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"model a")
    at.bucket.put_model("models/tenant/b.tar.gz", b"model b")
    await at.hosting.deploy(at.spec())
    status, headers, body = await at.invoke("a.tar.gz", b"\x00\xff")
    assert (status, body) == (200, b"model a|\x00\xff")
    assert headers == {"x-amzn-invoked-production-variant": "AllTraffic", "content-type": "text/plain"}
    assert (await at.invoke("tenant/b.tar.gz"))[2] == b"model b|x"
    assert (await at.invoke("a.tar.gz", b"again"))[2] == b"model a|again"
    assert world.loads == ["a.tar.gz", "tenant/b.tar.gz"]


async def test_a_target_model_is_joined_to_the_prefix_as_it_is_spelled(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"model a")
    bare = at.container(model_data_url=at.bucket.url.rstrip("/"))
    await at.hosting.deploy(at.spec())
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", bare), name="bare"))
    assert (await at.invoke("a.tar.gz"))[0] == 200
    for another in ("/a.tar.gz", "//a.tar.gz", "./a.tar.gz", "x/../a.tar.gz", "%61.tar.gz", "..%2Fmodels/a.tar.gz"):
        assert (await at.invoke(another))[0] == 400, another
    assert world.loads == ["a.tar.gz"]
    assert (await at.invoke("/a.tar.gz", name="bare"))[0] == 200
    assert (await at.invoke("a.tar.gz", name="bare"))[0] == 400


async def test_the_container_is_told_the_content_type_accept_and_custom_attributes(at: Endpoints, world: World) -> None:
    seen = []

    def answer(server: FakeServer, target: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        seen.append((target, body, dict(headers)))
        return ServerResponse(200, {"Content-Type": "a/b", "X-Amzn-SageMaker-Custom-Attributes": "c000=1"}, b"\x00")

    world.answer = answer
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    sent: dict[str, Any] = {"content_type": "text/csv", "accept": "application/json", "user_agent": "secret"}
    _, headers, body = await at.invoke(**sent, x_amzn_sagemaker_custom_attributes="c000=0")
    assert seen == [
        (
            "a.tar.gz",
            b"x",
            {
                "content-type": "text/csv",
                "accept": "application/json",
                "x-amzn-sagemaker-custom-attributes": "c000=0",
            },
        )
    ]
    assert body == b"\x00"
    assert headers["content-type"] == "a/b"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "c000=1"


async def test_a_deployment_that_fails_says_why_and_leaves_nothing(at: Endpoints, world: World) -> None:
    world.start_error = "java: command not found"
    expected = "The primary container for production variant AllTraffic did not pass the ping health check"
    with pytest.raises(HostingError, match=rf"{expected}: java: command not found"):
        await at.hosting.deploy(at.spec())
    assert (await at.invoke())[0] == 400
    assert not world.running


async def test_an_update_that_fails_leaves_the_old_fleet_serving(at: Endpoints, world: World) -> None:
    await at.hosting.deploy(at.spec())
    async with Traffic(at) as traffic:
        world.start_error = "broken"
        with pytest.raises(HostingError):
            await at.hosting.deploy(at.spec(config="config-2"))
        world.start_error = None
    assert traffic.only_right_answers
    assert len(world.running) == 1


async def test_an_update_under_traffic_fails_no_request(at: Endpoints, world: World, until: Until) -> None:
    await at.hosting.deploy(at.spec())
    async with Traffic(at) as traffic:
        for number in range(2, 6):
            before = sum(traffic.answers.values())
            await at.hosting.deploy(at.spec(config=f"config-{number}"))
            await until(lambda: sum(traffic.answers.values()) > before + 50)  # noqa: B023 - called in this turn of the loop
    assert traffic.only_right_answers
    assert len(world.running) == 1
    assert world.running[0] is world.servers[-1]


async def test_an_update_lets_calls_under_way_finish_on_the_old_fleet(
    at: Endpoints, world: World, until: Until
) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    gate = world.invoke_gates["a.tar.gz"] = asyncio.Event()
    call = asyncio.create_task(at.invoke())
    await until(lambda: world.servers[0].invocations)
    update = asyncio.create_task(at.hosting.deploy(at.spec(config="config-2")))
    await until(lambda: len(world.running) == 2)
    assert not update.done()
    gate.set()
    assert (await call)[0] == 200
    await update
    assert world.servers[0].state == "stopped"


async def test_a_call_that_never_ends_cannot_hold_up_an_update_forever(
    hosted: Hosted, world: World, until: Until
) -> None:
    at = hosted(settings=Settings(drain_timeout=0.05, publish_interval=3600))
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    gate = world.invoke_gates["a.tar.gz"] = asyncio.Event()
    call = asyncio.create_task(at.invoke())
    await until(lambda: world.servers[0].invocations)
    await at.hosting.deploy(at.spec(config="config-2"))
    assert world.servers[0].state == "stopped"
    gate.set()
    assert (await call)[0] == 424


async def test_a_removed_endpoint_finishes_its_calls_and_is_not_found(
    at: Endpoints, world: World, until: Until
) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    gate = world.invoke_gates["a.tar.gz"] = asyncio.Event()
    call = asyncio.create_task(at.invoke())
    await until(lambda: world.servers[0].invocations)
    removal = asyncio.create_task(at.hosting.remove("demo"))
    await asyncio.sleep(0)
    assert b"Endpoint demo of account 000000000000 not found." in (await at.invoke())[2]
    gate.set()
    assert (await call)[0] == 200
    await removal
    await at.hosting.remove("demo")


async def test_adjusting_keeps_the_instances_that_stay(hosted: Hosted, world: World) -> None:
    at = hosted(max_instances=3)
    await at.hosting.deploy(at.spec(at.variant(instance_count=1)))
    async with Traffic(at) as traffic:
        await at.hosting.adjust(at.spec(at.variant(instance_count=3)))
        assert len(world.running) == 3
        await at.hosting.adjust(at.spec(at.variant(instance_count=1)))
        assert [server.state for server in world.servers] == ["up", "stopped", "stopped"]
    assert traffic.only_right_answers


async def test_adjusting_what_does_not_run_is_an_error(at: Endpoints, world: World) -> None:
    with pytest.raises(HostingError, match="not running"):
        await at.hosting.adjust(at.spec())
    await at.hosting.deploy(at.spec())
    with pytest.raises(HostingError, match="AllTraffic"):
        await at.hosting.adjust(at.spec(at.variant("Other")))
    world.start_error = "no memory"
    with pytest.raises(HostingError, match="no memory"):
        await at.hosting.adjust(at.spec(at.variant(instance_count=2)))
    assert len(world.running) == 1


async def test_instances_are_capped(at: Endpoints, world: World) -> None:
    await at.hosting.deploy(at.spec(at.variant(instance_count=7)))
    assert len(world.running) == 2


async def test_variants_get_calls_by_weight_and_none_at_weight_zero(hosted: Hosted, world: World) -> None:
    at = hosted(chance=random.Random(1))
    at.bucket.put_model("models/a.tar.gz", b"m")
    variants = [at.variant("A", weight=3), at.variant("B", weight=1), at.variant("C", weight=0)]
    await at.hosting.deploy(at.spec(*variants))

    async def shares() -> collections.Counter[str]:
        answers = [(await at.invoke())[1]["x-amzn-invoked-production-variant"] for _ in range(400)]
        return collections.Counter(answers)

    first = await shares()
    assert set(first) == {"A", "B"}
    assert 270 <= first["A"] <= 330
    await at.hosting.adjust(at.spec(at.variant("A", weight=0), at.variant("B", weight=0), at.variant("C")))
    assert set(await shares()) == {"C"}


async def test_a_target_variant_overrides_the_weights(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec(at.variant("A"), at.variant("B", weight=0)))
    for _ in range(5):
        _, headers, _ = await at.invoke(x_amzn_sagemaker_target_variant="B")
        assert headers["x-amzn-invoked-production-variant"] == "B"


async def test_the_instance_that_holds_the_model_gets_its_calls(at: Endpoints, world: World) -> None:
    for name in "abcd":
        at.bucket.put_model(f"models/{name}", name.encode())
    await at.hosting.deploy(at.spec(at.variant(instance_count=2)))
    await asyncio.gather(*(at.invoke(name) for name in "abcd"))
    for _ in range(20):
        for name in "abcd":
            assert (await at.invoke(name))[2] == name.encode() + b"|x"
    assert sorted(world.loads) == list("abcd")
    assert sorted(len(server.models) for server in world.servers) == [2, 2]


async def test_a_model_in_great_demand_is_loaded_on_a_second_instance(
    at: Endpoints, world: World, until: Until
) -> None:
    at.bucket.put_model("models/hot", b"m")
    await at.hosting.deploy(at.spec(at.variant(instance_count=2)))
    gate = world.invoke_gates["hot"] = asyncio.Event()
    calls = [asyncio.create_task(at.invoke("hot")) for _ in range(12)]
    await until(lambda: sum(server.invocations for server in world.servers) == 12)
    assert world.loads == ["hot", "hot"]
    gate.set()
    assert {answer[0] for answer in await asyncio.gather(*calls)} == {200}


async def test_calls_go_round_an_instance_whose_server_is_restarting(at: Endpoints, world: World, until: Until) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec(at.variant(instance_count=2)))
    await at.invoke()
    holder = next(server for server in world.servers if server.models)
    world.start_gate = asyncio.Event()
    holder.crash()
    assert (await at.invoke())[0] == 424
    assert (await at.invoke())[0] == 200
    world.start_gate.set()
    await until(lambda: len(world.running) == 2)


async def test_a_server_killed_under_traffic_is_replaced_and_later_calls_succeed(
    at: Endpoints, world: World, until: Until
) -> None:
    await at.hosting.deploy(at.spec())
    async with Traffic(at) as traffic:
        await until(lambda: sum(traffic.answers.values()) > 50)
        world.servers[-1].crash()
        await until(lambda: len(world.running) == 1)
        await until(lambda: len(world.running[0].models) == 3)
        failed = {key for key in traffic.answers if key[0] != 200}
        assert all(b"could not get a response" in body for _, body in failed)
        traffic.answers.clear()
        await until(lambda: sum(traffic.answers.values()) > 50)
    assert traffic.only_right_answers


async def test_a_pipeline_passes_body_and_content_type_on(at: Endpoints, world: World) -> None:
    seen = []

    def answer(server: FakeServer, target: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        image = server.container.image
        seen.append((image, target, body, dict(headers)))
        return ServerResponse(200, {"Content-Type": f"{image}/out"}, body + image.encode())

    world.answer = answer
    at.bucket.put_model("models/a.tar.gz", b"m")
    at.bucket.put_model("pre/model.tar.gz", b"p")
    url = f"s3://{at.bucket.name}/pre/model.tar.gz"
    containers = (
        at.container("pre", multi_model=False, model_data_url=url),
        at.container("main"),
        at.container("post", multi_model=False, model_data_url=url),
    )
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", *containers)))
    assert world.loads == ["model.tar.gz", "model.tar.gz"], "single models are loaded at the start"
    status, headers, body = await at.invoke(content_type="text/csv", accept="final/accept")
    assert (status, body, headers["content-type"]) == (200, b"xpremainpost", "post/out")
    assert seen == [
        ("pre", "model.tar.gz", b"x", {"content-type": "text/csv"}),
        ("main", "a.tar.gz", b"xpre", {"content-type": "pre/out"}),
        ("post", "model.tar.gz", b"xpremain", {"content-type": "main/out", "accept": "final/accept"}),
    ]


async def test_with_direct_invocation_only_the_container_that_is_named_runs(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"many")
    at.bucket.put_model("one.tar.gz", b"one")
    url = f"s3://{at.bucket.name}/one.tar.gz"
    containers = (
        at.container("single", multi_model=False, model_data_url=url, hostname="first"),
        at.container("multi", hostname="second"),
    )
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", *containers, direct=True)))
    first: dict[str, Any] = {"x_amzn_sagemaker_target_container_hostname": "first"}
    second: dict[str, Any] = {"x_amzn_sagemaker_target_container_hostname": "second"}
    assert (await at.invoke(None, **first))[::2] == (200, b"one|x")
    assert {server.container.hostname: server.invocations for server in world.servers} == {"first": 1, "second": 0}
    assert (await at.invoke(**second))[::2] == (200, b"many|x")
    assert {server.container.hostname: server.invocations for server in world.servers} == {"first": 1, "second": 1}
    refused: list[tuple[str | None, dict[str, Any], bytes]] = [
        (None, {}, b"is missing a target container hostname header"),
        (
            None,
            {"x_amzn_sagemaker_target_container_hostname": "third"},
            b"Target container hostname third not found",
        ),
        ("a.tar.gz", first, b"not a multi-model endpoint and does not support target model header"),
        (None, second, b"is missing a target model header"),
    ]
    for target, headers, message in refused:
        status, answer, body = await at.invoke(target, **headers)
        assert (status, answer["x-amzn-errortype"]) == (400, "ValidationError")
        assert message in body
    assert [server.invocations for server in world.servers] == [1, 1]


async def test_no_endpoint_has_inference_components_to_call(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    status, answer, body = await at.invoke(x_amzn_sagemaker_inference_component="adapter")
    assert (status, answer["x-amzn-errortype"]) == (400, "ValidationError")
    assert b"Inference Component Name header is not allowed for endpoints" in body
    assert world.servers[0].invocations == 0


async def test_a_pipeline_stops_at_the_container_that_fails_and_names_it(at: Endpoints, world: World) -> None:
    def answer(server: FakeServer, target: str, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        return ServerResponse(500, {}, b"boom") if server.container.image == "main" else ServerResponse(200, {}, b"")

    world.answer = answer
    at.bucket.put_model("models/a.tar.gz", b"m")
    at.bucket.put_model("pre.tar.gz", b"m")
    url = f"s3://{at.bucket.name}/pre.tar.gz"
    containers = (
        at.container("pre", multi_model=False, model_data_url=url, hostname="cleaner"),
        at.container("main", hostname="predictor"),
    )
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", *containers)))
    status, _, body = await at.invoke()
    assert status == 424
    assert b"Received server error (500) from predictor" in body


async def test_a_container_that_cannot_be_served_here_deploys_and_is_named_at_the_first_call(
    at: Endpoints, world: World
) -> None:
    world.unservable.add("mine:1")
    at.bucket.put_model("models/a.tar.gz", b"m")
    containers = (at.container("mine:1", multi_model=False, hostname="cleaner"), at.container("main"))
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", *containers)))
    status, headers, body = await at.invoke()
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert b"Container cleaner with image mine:1 cannot be served locally" in body


async def test_a_single_model_that_is_absent_fails_the_deployment(at: Endpoints, world: World) -> None:
    single = at.container(multi_model=False, model_data_url=f"s3://{at.bucket.name}/none.tar.gz")
    with pytest.raises(HostingError, match=r"Failed to download model data\(bucket"):
        await at.hosting.deploy(at.spec(at.variant("AllTraffic", single)))


async def test_a_single_model_endpoint_serves_too_and_reloads_after_a_crash(
    at: Endpoints, world: World, until: Until
) -> None:
    at.bucket.put_model("one.tar.gz", b"one")
    single = at.container(multi_model=False, model_data_url=f"s3://{at.bucket.name}/one.tar.gz")
    await at.hosting.deploy(at.spec(at.variant("AllTraffic", single)))
    assert (await at.invoke(None))[2] == b"one|x"
    world.servers[-1].crash()
    assert (await at.invoke(None))[0] == 424
    assert (await at.invoke(None))[2] == b"one|x"


async def test_a_call_without_memory_on_the_gpu_is_tried_again_after_evictions(at: Endpoints, world: World) -> None:
    for name in "ab":
        at.bucket.put_model(f"models/{name}", name.encode())
    await at.hosting.deploy(at.spec())
    await at.invoke("a")
    await at.invoke("b")
    world.invoke_507 = 1
    assert (await at.invoke("b"))[0] == 200
    assert world.unloads == ["a"]
    world.invoke_507 = 1
    assert (await at.invoke("b"))[0] == 424


async def test_closing_under_traffic_answers_everybody(at: Endpoints, world: World, until: Until) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    at.bucket.put_model("models/slow.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    gate = world.load_gates["slow.tar.gz"] = asyncio.Event()
    waiting = asyncio.create_task(at.invoke("slow.tar.gz"))
    await until(lambda: world.loading == 1)
    await at.hosting.close()
    gate.set()
    assert (await waiting)[0] == 503


async def test_closing_during_a_deployment_leaves_no_server(at: Endpoints, world: World, until: Until) -> None:
    world.start_gate = asyncio.Event()
    deployment = asyncio.create_task(at.hosting.deploy(at.spec()))
    await until(lambda: len(world.servers) == 1)
    closing = asyncio.create_task(at.hosting.close())
    await asyncio.sleep(0)
    world.start_gate.set()
    with contextlib.suppress(HostingError):
        await deployment
    await closing
    assert not world.running


SCRIPT = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://{}/code/sourcedir.tar.gz"}


def scripted(at: Endpoints) -> EndpointSpec:
    environment = {name: value.format(at.bucket.name) for name, value in SCRIPT.items()}
    return at.spec(at.variant("AllTraffic", at.container(environment=environment)))


async def test_a_container_finds_its_code_of_s3_in_a_folder(at: Endpoints, world: World, pack: Pack) -> None:
    at.bucket.put("code/sourcedir.tar.gz", pack({"inference.py": b"code"}))
    await at.hosting.deploy(scripted(at))
    (server,) = world.servers
    folder = server.container.environment["SAGEMAKER_SUBMIT_DIRECTORY"]
    assert await asyncio.to_thread(Path(folder, "inference.py").read_bytes) == b"code"


async def test_a_container_without_a_network_can_not_fetch_its_code(at: Endpoints, world: World, pack: Pack) -> None:
    at.bucket.put("code/sourcedir.tar.gz", pack({"inference.py": b"code"}))
    (variant,) = scripted(at).variants
    with pytest.raises(HostingError, match="out of reach of a container with EnableNetworkIsolation"):
        await at.hosting.deploy(at.spec(replace(variant, network_isolation=True)))


async def test_a_container_whose_code_is_not_there_does_not_start(at: Endpoints, world: World) -> None:
    with pytest.raises(HostingError, match=r"SAGEMAKER_SUBMIT_DIRECTORY s3://.* was not fetched: Failed to down"):
        await at.hosting.deploy(scripted(at))
    assert world.running == []
