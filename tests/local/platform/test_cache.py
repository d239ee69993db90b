from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.platform.artifacts import ArtifactMissing, ArtifactStore, DiskFull
from mme_local.platform.cache import ModelCache
from mme_local.platform.disk import Disk
from mme_local.platform.errors import InvalidRequest, ModelError, ModelNotReadyException, ServiceUnavailable
from mme_local.platform.failures import Failures
from mme_local.platform.loader import Loader
from mme_local.platform.metrics import VariantMetrics
from mme_local.platform.model import InstanceModel, State
from mme_local.platform.settings import Settings
from mme_local.platform.supervisor import Supervisor
from mme_local.servers.base import ServerError, ServerResponse

from .conftest import Until, World, assert_all_over

CONTAINER = ContainerSpec(image="mms", multi_model=True)


class Store(ArtifactStore):
    """An S3 in which every object exists and takes as many bytes as its name says: ``a-100``."""

    def __init__(self) -> None:
        self.fetches: list[str] = []
        self.gate: threading.Event | None = None
        self.absent: set[str] = set()
        self.cancelled = 0
        self.room: int | None = None

    def fetch(self, url: str, directory: Path, stop: threading.Event) -> int:
        self.fetches.append(url)
        if self.gate is not None:
            while not self.gate.wait(0.01):
                if stop.is_set():
                    self.cancelled += 1
                    raise ArtifactMissing("given up")
        if url in self.absent:
            raise ArtifactMissing(f"no {url}")
        if self.room is not None and len(list(directory.parents[1].iterdir())) > self.room:
            raise DiskFull("no space left on the local disk")
        directory.mkdir()
        (directory / "model").write_text(url)
        return int(url.rpartition("-")[2]) if "-" in url else 1


Rigged = Callable[..., Awaitable["Rig"]]


class Rig:
    """A cache on a fake server."""

    def __init__(
        self,
        world: World,
        tmp_path: Path,
        *,
        memory: int | None = None,
        disk: int | None = None,
        keep: bool = True,
        **settings: Any,
    ) -> None:
        self.world = world
        self.store = Store()
        self.settings = Settings(**{"restart_backoff": 0.0, **settings})
        self.executor = ThreadPoolExecutor(8)
        self.supervisor = Supervisor(
            lambda generation: world.make(CONTAINER, tmp_path),
            startup_timeout=5,
            settings=self.settings,
            label="test",
        )
        self.disk = Disk(self.store, tmp_path / "models", self.executor, budget=disk)
        self.metrics = VariantMetrics("e", "v")
        failures = Failures("e", "primary", "arn")
        self.cache = ModelCache(
            Loader(self.supervisor, failures, self.settings),
            self.disk,
            failures,
            self.metrics,
            self.settings,
            memory_budget=memory,
            keep=keep,
            label="test",
        )
        self.supervisor.on_down = self.cache.forget_memory

    async def call(self, target: str, hold: asyncio.Event | None = None) -> ServerResponse:
        """What a request does: take the model, run on it, give it back."""
        model = self.cache.acquire_loaded(target) or await self.cache.acquire(target, target)
        try:
            if hold is not None:
                await hold.wait()
            return await self.supervisor.server.invoke(model.name, target, b"", {})
        finally:
            self.cache.release(model)

    async def take(self, target: str) -> InstanceModel:
        return self.cache.acquire_loaded(target) or await self.cache.acquire(target, target)

    def state(self, target: str) -> State | None:
        model = self.cache._models.get(target)
        return None if model is None else model.state

    def on_disk(self) -> list[str]:
        found = []
        for path in self.disk._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a deletion may be under way
                found.append(path.joinpath("model", "model").read_text())
        return sorted(found)


@pytest.fixture
async def rigged(world: World, tmp_path: Path) -> AsyncIterator[Rigged]:
    """Start a rig, which is ended after the test."""
    before = asyncio.all_tasks()
    rigs: list[Rig] = []

    async def start(**options: Any) -> Rig:
        rig = Rig(world, tmp_path, **options)
        rigs.append(rig)
        await rig.supervisor.start()
        return rig

    yield start
    for rig in rigs:
        await rig.cache.close()
        await rig.supervisor.stop()
        rig.executor.shutdown(wait=True)
    assert_all_over(before)


@pytest.fixture
async def rig(rigged: Rigged) -> Rig:
    return await rigged()


async def test_fifty_simultaneous_first_calls_are_one_download_and_one_load(rig: Rig) -> None:
    answers = await asyncio.gather(*(rig.call("a") for _ in range(50)))
    assert {answer.body for answer in answers} == {b"a|"}
    assert (rig.store.fetches, rig.world.loads) == (["a"], ["a"])
    assert rig.metrics.histograms["ModelLoadingTime"].values().__len__() == 1


async def test_different_models_are_downloaded_and_loaded_at_the_same_time(rig: Rig, until: Until) -> None:
    for name in "abc":
        rig.world.load_gates[name] = asyncio.Event()
    calls = [asyncio.create_task(rig.call(name)) for name in "abc"]
    await until(lambda: rig.world.loading == 3)
    for gate in rig.world.load_gates.values():
        gate.set()
    await asyncio.gather(*calls)


async def test_a_loaded_model_is_taken_without_any_task(rig: Rig) -> None:
    await rig.call("a")
    before = asyncio.all_tasks()
    model = rig.cache.acquire_loaded("a")
    assert model is not None
    rig.cache.release(model)
    assert asyncio.all_tasks() == before


async def test_evicts_the_least_recently_used_model_on_507(rig: Rig) -> None:
    rig.world.capacity = 2
    for name in ("a", "b", "a", "c"):
        await rig.call(name)
    assert rig.world.unloads == ["b"]
    await rig.call("b")
    assert rig.world.unloads == ["b", "a"]
    assert rig.store.fetches == ["a", "b", "c"], "an unloaded model stays on disk"


async def test_evicts_one_model_after_the_other_until_the_load_succeeds(rig: Rig, until: Until) -> None:
    for name in "abc":
        await rig.call(name)
    rig.world.capacity = 1
    await rig.call("d")
    assert rig.world.unloads == ["a", "b", "c"]


async def test_loads_that_only_got_in_each_others_way_are_tried_again_one_by_one(rig: Rig) -> None:
    rig.world.one_load_at_a_time = True
    answers = await asyncio.gather(*(rig.call(name) for name in "abcde"))
    assert {answer.status for answer in answers} == {200}


async def test_a_model_that_the_server_still_has_from_a_failed_unload_is_loaded_afresh(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.call("a")

    async def fail(name: str) -> None:
        raise ServerError("500")

    rig.world.capacity = 1
    with monkeypatch.context() as patch, contextlib.suppress(ModelError):
        patch.setattr(rig.supervisor.server, "unload", fail)
        await rig.call("b")
    assert (await rig.call("a")).body == b"a|"
    rig.world.violations.clear()  # a was loaded twice, which the server refused


async def test_a_model_that_gets_507_on_an_empty_server_is_an_error(rig: Rig) -> None:
    await rig.call("a")
    rig.world.refused["big"] = (507, b"insufficient memory")
    with pytest.raises(ModelError, match="insufficient memory") as caught:
        await rig.call("big")
    assert caught.value.original_status == 507
    assert rig.world.unloads == ["a"]
    assert rig.cache.loaded_count == 0
    await rig.call("a")


async def test_never_evicts_a_model_in_use_but_waits_for_it(rig: Rig, until: Until) -> None:
    rig.world.capacity = 2
    done = asyncio.Event()
    holders = [asyncio.create_task(rig.call(name, hold=done)) for name in "ab"]
    await until(lambda: rig.cache.loaded_count == 2)
    waiting = asyncio.create_task(rig.call("c"))
    await until(lambda: rig.cache._memory.starving)
    assert rig.world.unloads == []
    done.set()
    assert (await waiting).body == b"c|"
    await asyncio.gather(*holders)
    assert len(rig.world.unloads) == 1


async def test_a_busy_model_cannot_starve_a_load_that_waits_for_its_room(rig: Rig, until: Until) -> None:
    rig.world.capacity = 1
    stop = False

    async def hammer() -> None:
        while not stop:
            await rig.call("hot")

    hammers = [asyncio.create_task(hammer()) for _ in range(1)]
    await until(lambda: rig.cache.loaded_count == 1)
    assert (await rig.call("cold")).body == b"cold|"
    stop = True
    await asyncio.gather(*hammers)


async def test_the_memory_budget_counts_unpacked_files_times_a_factor(rigged: Rigged) -> None:
    rig = await rigged(memory=300)
    # 2 x 100 x 1.2 fits into 300, 3 x 100 x 1.2 does not.
    for name in ("a-100", "b-100", "c-100"):
        await rig.call(name)
    assert rig.world.unloads == ["a-100"]
    assert rig.cache.loaded_count == 2


async def test_a_big_model_makes_room_of_several_small_ones(rigged: Rigged) -> None:
    rig = await rigged(memory=360)
    for name in ("a-100", "b-100", "c-100", "d-200"):
        await rig.call(name)
    assert rig.world.unloads == ["a-100", "b-100"]
    assert rig.cache._memory.used == 360


async def test_a_model_beyond_the_whole_memory_budget_evicts_nobody(rigged: Rigged) -> None:
    rig = await rigged(memory=300)
    await rig.call("a-100")
    with pytest.raises(ModelError, match="more than the whole budget of 300") as caught:
        await rig.call("huge-1000")
    assert caught.value.original_status == 507
    assert rig.world.unloads == []
    assert rig.world.loads == ["a-100"]


async def test_a_refused_load_gives_its_memory_back(rigged: Rigged) -> None:
    rig = await rigged(memory=250)
    rig.world.refused["bad-200"] = (500, b"broken")
    for _ in range(5):
        with pytest.raises(ModelError):
            await rig.call("bad-200")
    assert rig.cache._memory.used == 0
    await rig.call("good-200")


async def test_over_the_disk_budget_unused_files_go_unloaded_ones_first(rigged: Rigged, until: Until) -> None:
    rig = await rigged(disk=250)
    rig.world.capacity = 1
    await rig.call("a-100")
    await rig.call("b-100")  # a is unloaded, on disk
    await rig.call("c-100")  # b too; 300 bytes on disk: a, the older one, is deleted
    await until(lambda: rig.on_disk() == ["b-100", "c-100"])
    assert rig.disk.used == 200
    rig.world.capacity = None
    await rig.call("b-100")
    await rig.call("d-100")  # nothing unloaded: c, the least recently used loaded one, goes
    await until(lambda: rig.on_disk() == ["b-100", "d-100"])
    await rig.call("a-100")
    assert rig.store.fetches.count("a-100") == 2


async def test_files_of_a_model_in_use_are_kept_though_the_disk_is_over_budget(rigged: Rigged, until: Until) -> None:
    rig = await rigged(disk=250)
    done = asyncio.Event()
    holders = [asyncio.create_task(rig.call(name, hold=done)) for name in ("a-100", "b-100", "c-100")]
    await until(lambda: rig.cache.loaded_count == 3)
    assert rig.on_disk() == ["a-100", "b-100", "c-100"]
    done.set()
    await asyncio.gather(*holders)
    await until(lambda: rig.disk.used <= 250 and len(rig.on_disk()) == 2)


async def test_a_model_beyond_the_whole_disk_budget_is_refused_and_removed(rigged: Rigged, until: Until) -> None:
    rig = await rigged(disk=250)
    with pytest.raises(InvalidRequest, match="more than the budget"):
        await rig.call("huge-1000")
    await until(lambda: rig.on_disk() == [])
    assert rig.disk.used == 0
    assert rig.state("huge-1000") is None


async def test_a_full_disk_makes_others_go_one_by_one_until_there_is_room(rig: Rig) -> None:
    rig.store.room = 2
    rig.world.capacity = 1
    for name in "abcd":  # of the two that are there one is loaded, and the other goes
        assert (await rig.call(name)).body == f"{name}|".encode()
    assert rig.on_disk() == ["c", "d"]
    rig.store.room = 1
    await rig.call("e")
    assert rig.on_disk() == ["e"]


async def test_a_full_disk_with_nothing_to_delete_is_the_containers_507(rig: Rig, until: Until) -> None:
    rig.store.room = 1
    done = asyncio.Event()
    holder = asyncio.create_task(rig.call("used", hold=done))
    await until(lambda: rig.state("used") is State.LOADED)
    with pytest.raises(ModelError, match="Model other was not downloaded: no space left on the local disk") as error:
        await rig.call("other")
    assert error.value.original_status == 507
    done.set()
    await holder
    assert (await rig.call("other")).body == b"other|"


async def test_a_caller_that_gives_up_does_not_stop_the_load(rigged: Rigged, until: Until) -> None:
    rig = await rigged(wait_timeout=0.05)
    gate = rig.world.load_gates["slow"] = asyncio.Event()
    with pytest.raises(ModelNotReadyException):
        await rig.call("slow")
    assert rig.state("slow") is State.LOADING
    gate.set()
    await until(lambda: rig.state("slow") is State.LOADED)
    await rig.call("slow")
    assert rig.world.loads == ["slow"]


async def test_a_cancelled_caller_does_not_stop_the_load_of_the_others(rig: Rig, until: Until) -> None:
    gate = rig.world.load_gates["a"] = asyncio.Event()
    calls = [asyncio.create_task(rig.call("a")) for _ in range(3)]
    await until(lambda: rig.world.loading == 1)
    calls[0].cancel()
    await until(lambda: calls[0].done())
    gate.set()
    assert [(await call).body for call in calls[1:]] == [b"a|", b"a|"]
    assert rig.cache._models["a"].in_use == 0


async def test_queued_loads_that_nobody_waits_for_any_more_are_dropped_and_one_that_has_begun_goes_on(
    rigged: Rigged, until: Until
) -> None:
    rig = await rigged(parallel_loads=1)
    gate = rig.world.load_gates["first"] = asyncio.Event()
    calls = [asyncio.create_task(rig.call("first"))]
    await until(lambda: rig.world.loading == 1)
    calls += [asyncio.create_task(rig.call(f"m{number}")) for number in range(100)]
    await until(lambda: len(rig.store.fetches) == 101)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    new = asyncio.create_task(rig.call("new"))
    gate.set()
    assert (await new).body == b"new|"
    assert rig.world.loads == ["first", "new"]
    await until(lambda: rig.cache._models["m99"].loading is None)
    assert (await rig.call("m99")).body == b"m99|"


async def test_queued_downloads_that_nobody_waits_for_any_more_are_dropped(rig: Rig, until: Until) -> None:
    gate = rig.store.gate = threading.Event()
    calls = [asyncio.create_task(rig.call(f"m{number}")) for number in range(100)]
    await until(lambda: len(rig.store.fetches) == 8)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    new = asyncio.create_task(rig.call("new"))
    gate.set()
    assert (await new).body == b"new|"
    assert len(rig.store.fetches) == 9
    assert rig.world.loads == ["new"]


async def test_a_queued_load_whose_callers_were_told_to_come_again_goes_on(rigged: Rigged, until: Until) -> None:
    rig = await rigged(parallel_loads=1, wait_timeout=0.1)
    gate = rig.world.load_gates["first"] = asyncio.Event()
    first = asyncio.create_task(rig.call("first"))
    await until(lambda: rig.world.loading == 1)
    with pytest.raises(ModelNotReadyException):
        await rig.call("second")
    gate.set()
    await until(lambda: rig.state("second") is State.LOADED)
    await asyncio.gather(first, return_exceptions=True)


async def test_a_load_is_given_up_at_last_and_the_next_call_starts_anew(rigged: Rigged, until: Until) -> None:
    rig = await rigged(wait_timeout=5, load_timeout=0.05, memory=1000)
    rig.world.load_gates["stuck"] = asyncio.Event()
    with pytest.raises(ModelError, match="not downloaded and loaded in time"):
        await rig.call("stuck")
    await until(lambda: rig.state("stuck") is State.ON_DISK)
    del rig.world.load_gates["stuck"]
    await rig.call("stuck")
    assert rig.cache._memory.used == rig.cache._models["stuck"].memory_bytes


async def test_a_download_that_is_given_up_ends_in_its_thread(rigged: Rigged, until: Until) -> None:
    rig = await rigged(wait_timeout=5, load_timeout=0.05)
    gate = rig.store.gate = threading.Event()
    with pytest.raises(ModelError):
        await rig.call("stuck")
    await until(lambda: rig.store.cancelled == 1)
    gate.set()
    await rig.call("stuck")


async def test_every_waiter_gets_the_reason_of_a_failed_load_and_the_next_call_retries(rig: Rig) -> None:
    rig.world.refused["bad"] = (500, b"no such file")
    results = await asyncio.gather(*(rig.call("bad") for _ in range(10)), return_exceptions=True)
    errors = [error for error in results if isinstance(error, ModelError)]
    assert len(errors) == 10
    assert {(error.original_status, error.original_message) for error in errors} == {(500, "no such file")}
    assert rig.world.loads == ["bad"]
    rig.world.refused.clear()
    assert (await rig.call("bad")).status == 200
    assert rig.store.fetches == ["bad"]


async def test_absent_models_leave_no_trace(rig: Rig) -> None:
    for number in range(20):
        rig.store.absent.add(f"none{number}")
        with pytest.raises(InvalidRequest):
            await rig.call(f"none{number}")
    assert len(rig.cache._models) == 0


async def test_with_the_cache_disabled_a_model_is_unloaded_and_deleted_after_its_call(
    rigged: Rigged, until: Until
) -> None:
    rig = await rigged(keep=False)
    await rig.call("a")
    await until(lambda: rig.state("a") is None and rig.on_disk() == [])
    assert rig.world.unloads == ["a"]
    assert (await rig.call("a")).body == b"a|"
    assert rig.store.fetches == ["a", "a"]


async def test_with_the_cache_disabled_a_model_stays_while_anybody_uses_it(rigged: Rigged, until: Until) -> None:
    rig = await rigged(keep=False)
    done = asyncio.Event()
    first = asyncio.create_task(rig.call("a", hold=done))
    await until(lambda: rig.cache.loaded_count == 1)
    await rig.call("a")
    assert rig.world.unloads == []
    done.set()
    await first
    await until(lambda: rig.state("a") is None)


async def test_with_the_cache_disabled_a_call_during_the_unload_loads_again(rigged: Rigged) -> None:
    rig = await rigged(keep=False)
    for _ in range(5):
        assert (await rig.call("a")).body == b"a|"
    assert len(rig.store.fetches) == 5


async def test_with_the_cache_disabled_a_model_nobody_waited_for_goes_too(rigged: Rigged, until: Until) -> None:
    rig = await rigged(keep=False, wait_timeout=0.05)
    gate = rig.world.load_gates["slow"] = asyncio.Event()
    with pytest.raises(ModelNotReadyException):
        await rig.call("slow")
    gate.set()
    await until(lambda: rig.state("slow") is None and rig.on_disk() == [])


async def test_after_a_crash_models_are_loaded_from_disk_into_the_new_server(rig: Rig, until: Until) -> None:
    await rig.call("a")
    generation = rig.supervisor.generation
    rig.world.servers[-1].crash()
    assert await rig.supervisor.died(generation)
    assert rig.cache.loaded_count == 0
    assert (await rig.call("a")).body == b"a|"
    assert rig.store.fetches == ["a"]
    assert len(rig.world.servers) == 2


async def test_a_load_that_a_crash_interrupts_is_done_by_the_new_server(rig: Rig, until: Until) -> None:
    gate = rig.world.load_gates["a"] = asyncio.Event()
    call = asyncio.create_task(rig.call("a"))
    await until(lambda: rig.world.loading == 1)
    rig.world.servers[-1].crash()
    gate.set()
    assert (await call).body == b"a|"
    assert rig.world.loads == ["a", "a"]


async def test_a_model_that_kills_the_server_at_each_load_is_an_error_not_a_loop(rig: Rig, until: Until) -> None:
    class Deadly(asyncio.Event):
        async def wait(self) -> Literal[True]:
            rig.world.servers[-1].crash()
            return True

    rig.world.load_gates["deadly"] = Deadly()
    with pytest.raises(ModelError) as caught:
        await rig.call("deadly")
    assert caught.value.original_status == 0
    assert rig.world.loads == ["deadly", "deadly"]
    assert (await rig.call("good")).body == b"good|"


async def test_when_the_server_is_given_up_calls_get_service_unavailable(rigged: Rigged, until: Until) -> None:
    rig = await rigged(max_restarts=2)
    rig.world.start_error = "no port"
    rig.world.servers[-1].crash()
    await rig.supervisor.died(rig.supervisor.generation)
    with pytest.raises(ServiceUnavailable, match="no port"):
        await rig.call("a")
    rig.world.start_error = None


async def test_a_call_that_gets_507_can_have_all_idle_models_unloaded(rig: Rig, until: Until) -> None:
    for name in "abc":
        await rig.call(name)
    hold = asyncio.Event()
    busy = asyncio.create_task(rig.call("b", hold=hold))
    model = await rig.take("c")
    await until(lambda: rig.cache._models["b"].in_use == 1)
    assert await rig.cache.evict_idle(keep=model) == 1
    assert rig.world.unloads == ["a"]
    rig.cache.release(model)
    hold.set()
    await busy


async def test_nearness_is_in_memory_or_coming_then_on_disk_then_absent(rig: Rig, until: Until) -> None:
    rig.world.capacity = 1
    await rig.call("a")
    await rig.call("b")
    assert [rig.cache.holds(name) for name in "abc"] == [1, 2, 0]
    rig.world.load_gates["c"] = asyncio.Event()
    call = asyncio.create_task(rig.call("c"))
    await until(lambda: rig.world.loading == 1)
    assert rig.cache.holds("c") == 2
    rig.world.load_gates["c"].set()
    await call


async def test_counts_downloads_loads_and_unloads_in_microseconds(rig: Rig) -> None:
    rig.world.capacity = 1
    await rig.call("a")
    await rig.call("b")
    counted = {name: sum(h.values()) for name, h in rig.metrics.histograms.items()}
    assert counted == {"ModelDownloadingTime": 2, "ModelLoadingTime": 2, "ModelUnloadingTime": 1}
    assert collections.Counter(rig.world.unloads) == {"a": 1}


async def test_a_load_looks_at_no_more_models_when_more_are_on_disk(
    rigged: Rigged, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    class Watched(InstanceModel):
        def __getattribute__(self, name: str) -> Any:
            nonlocal looks
            looks += name == "state"
            return super().__getattribute__(name)

    monkeypatch.setattr("mme_local.platform.cache.InstanceModel", Watched)
    rig = await rigged(memory=120)
    counts = []
    for number in range(60):
        looks = 0
        await rig.call(f"{number}-100")
        counts.append(looks)
    assert len(rig.world.unloads) == 59
    assert counts[59] == counts[9]
