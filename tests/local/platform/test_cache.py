from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.platform.artifacts import ArtifactMissing, DiskFull
from mme_local.platform.cache import ModelCache
from mme_local.platform.disk import Disk
from mme_local.platform.errors import InvalidRequest, ModelError, ModelNotReadyException, ServiceUnavailable
from mme_local.platform.failures import Failures
from mme_local.platform.loader import Loader
from mme_local.platform.metrics import VariantMetrics
from mme_local.platform.model import State
from mme_local.platform.settings import Settings
from mme_local.platform.supervisor import Supervisor
from mme_local.servers.base import ServerError

CONTAINER = ContainerSpec(image="mms", multi_model=True)


class Store:
    """An S3 in which every object exists and takes as many bytes as its name says: ``a-100``."""

    def __init__(self):
        self.fetches = []
        self.gate = None
        self.absent = set()
        self.cancelled = 0
        self.room = None

    def fetch(self, url, directory, stop):
        self.fetches.append(url)
        if self.gate is not None:
            while not self.gate.wait(0.01):
                if stop.is_set():
                    self.cancelled += 1
                    raise ArtifactMissing("given up")
        if url in self.absent:
            raise ArtifactMissing(f"no {url}")
        if self.room is not None and len(list(directory.parent.iterdir())) >= self.room:
            raise DiskFull("no space left on the local disk")
        directory.mkdir()
        (directory / "model").write_text(url)
        return int(url.rpartition("-")[2]) if "-" in url else 1


class Rig:
    """A cache on a fake server."""

    def __init__(self, world, tmp_path, *, memory=None, disk=None, keep=True, **settings):
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

    async def call(self, target, hold=None):
        """What a request does: take the model, run on it, give it back."""
        model = self.cache.acquire_loaded(target) or await self.cache.acquire(target, target)
        try:
            if hold is not None:
                await hold.wait()
            return await self.supervisor.server.invoke(model.name, target, b"", {})
        finally:
            self.cache.release(model)

    async def take(self, target):
        return self.cache.acquire_loaded(target) or await self.cache.acquire(target, target)

    def state(self, target):
        model = self.cache._models.get(target)
        return None if model is None else model.state

    def on_disk(self):
        found = []
        for path in self.disk._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a deletion may be under way
                found.append(path.joinpath("model").read_text())
        return sorted(found)


@pytest.fixture
def rig(world, tmp_path):
    def run(test, **options):
        async def main():
            rig = Rig(world, tmp_path, **options)
            await rig.supervisor.start()
            try:
                await asyncio.wait_for(test(rig), 20)
            finally:
                await rig.cache.close()
                await rig.supervisor.stop()
                rig.executor.shutdown(wait=True)
            assert not [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

        asyncio.run(main())

    return run


def test_fifty_simultaneous_first_calls_are_one_download_and_one_load(rig):
    async def test(r):
        answers = await asyncio.gather(*(r.call("a") for _ in range(50)))
        assert {answer.body for answer in answers} == {b"a|"}
        assert (r.store.fetches, r.world.loads) == (["a"], ["a"])
        assert r.metrics.histograms["ModelLoadingTime"].values().__len__() == 1

    rig(test)


def test_different_models_are_downloaded_and_loaded_at_the_same_time(rig, until):
    async def test(r):
        for name in "abc":
            r.world.load_gates[name] = asyncio.Event()
        calls = [asyncio.create_task(r.call(name)) for name in "abc"]
        await until(lambda: r.world.loading == 3)
        for gate in r.world.load_gates.values():
            gate.set()
        await asyncio.gather(*calls)

    rig(test)


def test_a_loaded_model_is_taken_without_any_task(rig):
    async def test(r):
        await r.call("a")
        before = asyncio.all_tasks()
        model = r.cache.acquire_loaded("a")
        assert model is not None
        r.cache.release(model)
        assert asyncio.all_tasks() == before

    rig(test)


def test_evicts_the_least_recently_used_model_on_507(rig):
    async def test(r):
        r.world.capacity = 2
        for name in ("a", "b", "a", "c"):
            await r.call(name)
        assert r.world.unloads == ["b"]
        await r.call("b")
        assert r.world.unloads == ["b", "a"]
        assert r.store.fetches == ["a", "b", "c"], "an unloaded model stays on disk"

    rig(test)


def test_evicts_one_model_after_the_other_until_the_load_succeeds(rig, until):
    async def test(r):
        for name in "abc":
            await r.call(name)
        r.world.capacity = 1
        await r.call("d")
        assert r.world.unloads == ["a", "b", "c"]

    rig(test)


def test_loads_that_only_got_in_each_others_way_are_tried_again_one_by_one(rig):
    async def test(r):
        r.world.one_load_at_a_time = True
        answers = await asyncio.gather(*(r.call(name) for name in "abcde"))
        assert {answer.status for answer in answers} == {200}

    rig(test)


def test_a_model_that_the_server_still_has_from_a_failed_unload_is_loaded_afresh(rig):
    async def test(r):
        await r.call("a")
        server = r.supervisor.server
        real, server.unload = server.unload, lambda name: fail()

        async def fail():
            raise ServerError("500")

        r.world.capacity = 1
        with contextlib.suppress(ModelError):
            await r.call("b")
        server.unload = real
        assert (await r.call("a")).body == b"a|"
        r.world.violations.clear()  # a was loaded twice, which the server refused

    rig(test)


def test_a_model_that_gets_507_on_an_empty_server_is_an_error(rig):
    async def test(r):
        await r.call("a")
        r.world.refused["big"] = (507, b"insufficient memory")
        with pytest.raises(ModelError, match="insufficient memory") as caught:
            await r.call("big")
        assert caught.value.original_status == 507
        assert r.world.unloads == ["a"]
        assert r.cache.loaded_count == 0
        await r.call("a")

    rig(test)


def test_never_evicts_a_model_in_use_but_waits_for_it(rig, until):
    async def test(r):
        r.world.capacity = 2
        done = asyncio.Event()
        holders = [asyncio.create_task(r.call(name, hold=done)) for name in "ab"]
        await until(lambda: r.cache.loaded_count == 2)
        waiting = asyncio.create_task(r.call("c"))
        await until(lambda: r.cache._memory.starving)
        assert r.world.unloads == []
        done.set()
        assert (await waiting).body == b"c|"
        await asyncio.gather(*holders)
        assert len(r.world.unloads) == 1

    rig(test)


def test_a_busy_model_cannot_starve_a_load_that_waits_for_its_room(rig, until):
    async def test(r):
        r.world.capacity = 1
        stop = False

        async def hammer():
            while not stop:
                await r.call("hot")

        hammers = [asyncio.create_task(hammer()) for _ in range(1)]
        await until(lambda: r.cache.loaded_count == 1)
        assert (await r.call("cold")).body == b"cold|"
        stop = True
        await asyncio.gather(*hammers)

    rig(test)


def test_the_memory_budget_counts_unpacked_files_times_a_factor(rig):
    async def test(r):
        # 2 x 100 x 1.2 fits into 300, 3 x 100 x 1.2 does not.
        for name in ("a-100", "b-100", "c-100"):
            await r.call(name)
        assert r.world.unloads == ["a-100"]
        assert r.cache.loaded_count == 2

    rig(test, memory=300)


def test_a_big_model_makes_room_of_several_small_ones(rig):
    async def test(r):
        for name in ("a-100", "b-100", "c-100", "d-200"):
            await r.call(name)
        assert r.world.unloads == ["a-100", "b-100"]
        assert r.cache._memory.used == 360

    rig(test, memory=360)


def test_a_model_beyond_the_whole_memory_budget_evicts_nobody(rig):
    async def test(r):
        await r.call("a-100")
        with pytest.raises(ModelError, match="more than the whole budget of 300") as caught:
            await r.call("huge-1000")
        assert caught.value.original_status == 507
        assert r.world.unloads == []
        assert r.world.loads == ["a-100"]

    rig(test, memory=300)


def test_a_refused_load_gives_its_memory_back(rig):
    async def test(r):
        r.world.refused["bad-200"] = (500, b"broken")
        for _ in range(5):
            with pytest.raises(ModelError):
                await r.call("bad-200")
        assert r.cache._memory.used == 0
        await r.call("good-200")

    rig(test, memory=250)


def test_over_the_disk_budget_unused_files_go_unloaded_ones_first(rig, until):
    async def test(r):
        r.world.capacity = 1
        await r.call("a-100")
        await r.call("b-100")  # a is unloaded, on disk
        await r.call("c-100")  # b too; 300 bytes on disk: a, the older one, is deleted
        await until(lambda: r.on_disk() == ["b-100", "c-100"])
        assert r.disk.used == 200
        r.world.capacity = None
        await r.call("b-100")
        await r.call("d-100")  # nothing unloaded: c, the least recently used loaded one, goes
        await until(lambda: r.on_disk() == ["b-100", "d-100"])
        await r.call("a-100")
        assert r.store.fetches.count("a-100") == 2

    rig(test, disk=250)


def test_files_of_a_model_in_use_are_kept_though_the_disk_is_over_budget(rig, until):
    async def test(r):
        done = asyncio.Event()
        holders = [asyncio.create_task(r.call(name, hold=done)) for name in ("a-100", "b-100", "c-100")]
        await until(lambda: r.cache.loaded_count == 3)
        assert r.on_disk() == ["a-100", "b-100", "c-100"]
        done.set()
        await asyncio.gather(*holders)
        await until(lambda: r.disk.used <= 250 and len(r.on_disk()) == 2)

    rig(test, disk=250)


def test_a_model_beyond_the_whole_disk_budget_is_refused_and_removed(rig, until):
    async def test(r):
        with pytest.raises(InvalidRequest, match="more than the budget"):
            await r.call("huge-1000")
        await until(lambda: r.on_disk() == [])
        assert r.disk.used == 0
        assert r.state("huge-1000") is None

    rig(test, disk=250)


def test_a_full_disk_makes_others_go_one_by_one_until_there_is_room(rig):
    async def test(r):
        r.store.room = 2
        r.world.capacity = 1
        for name in "abcd":  # of the two that are there one is loaded, and the other goes
            assert (await r.call(name)).body == f"{name}|".encode()
        assert r.on_disk() == ["c", "d"]
        r.store.room = 1
        await r.call("e")
        assert r.on_disk() == ["e"]

    rig(test)


def test_a_full_disk_with_nothing_to_delete_is_the_containers_507(rig, until):
    async def test(r):
        r.store.room = 1
        done = asyncio.Event()
        holder = asyncio.create_task(r.call("used", hold=done))
        await until(lambda: r.state("used") is State.LOADED)
        with pytest.raises(
            ModelError, match="Model other was not downloaded: no space left on the local disk"
        ) as error:
            await r.call("other")
        assert error.value.original_status == 507
        done.set()
        await holder
        assert (await r.call("other")).body == b"other|"

    rig(test)


def test_a_caller_that_gives_up_does_not_stop_the_load(rig, until):
    async def test(r):
        gate = r.world.load_gates["slow"] = asyncio.Event()
        with pytest.raises(ModelNotReadyException):
            await r.call("slow")
        assert r.state("slow") is State.LOADING
        gate.set()
        await until(lambda: r.state("slow") is State.LOADED)
        await r.call("slow")
        assert r.world.loads == ["slow"]

    rig(test, wait_timeout=0.05)


def test_a_cancelled_caller_does_not_stop_the_load_of_the_others(rig, until):
    async def test(r):
        gate = r.world.load_gates["a"] = asyncio.Event()
        calls = [asyncio.create_task(r.call("a")) for _ in range(3)]
        await until(lambda: r.world.loading == 1)
        calls[0].cancel()
        await until(lambda: calls[0].done())
        gate.set()
        assert [(await call).body for call in calls[1:]] == [b"a|", b"a|"]
        assert r.cache._models["a"].in_use == 0

    rig(test)


def test_queued_loads_that_nobody_waits_for_any_more_are_dropped_and_one_that_has_begun_goes_on(rig, until):
    async def test(r):
        gate = r.world.load_gates["first"] = asyncio.Event()
        calls = [asyncio.create_task(r.call("first"))]
        await until(lambda: r.world.loading == 1)
        calls += [asyncio.create_task(r.call(f"m{number}")) for number in range(100)]
        await until(lambda: len(r.store.fetches) == 101)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        new = asyncio.create_task(r.call("new"))
        gate.set()
        assert (await new).body == b"new|"
        assert r.world.loads == ["first", "new"]
        await until(lambda: r.cache._models["m99"].loading is None)
        assert (await r.call("m99")).body == b"m99|"

    rig(test, parallel_loads=1)


def test_queued_downloads_that_nobody_waits_for_any_more_are_dropped(rig, until):
    async def test(r):
        r.store.gate = threading.Event()
        calls = [asyncio.create_task(r.call(f"m{number}")) for number in range(100)]
        await until(lambda: len(r.store.fetches) == 8)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        new = asyncio.create_task(r.call("new"))
        r.store.gate.set()
        assert (await new).body == b"new|"
        assert len(r.store.fetches) == 9
        assert r.world.loads == ["new"]

    rig(test)


def test_a_queued_load_whose_callers_were_told_to_come_again_goes_on(rig, until):
    async def test(r):
        gate = r.world.load_gates["first"] = asyncio.Event()
        first = asyncio.create_task(r.call("first"))
        await until(lambda: r.world.loading == 1)
        with pytest.raises(ModelNotReadyException):
            await r.call("second")
        gate.set()
        await until(lambda: r.state("second") is State.LOADED)
        await asyncio.wait({first})

    rig(test, parallel_loads=1, wait_timeout=0.1)


def test_a_load_is_given_up_at_last_and_the_next_call_starts_anew(rig, until):
    async def test(r):
        r.world.load_gates["stuck"] = asyncio.Event()
        with pytest.raises(ModelError, match="not downloaded and loaded in time"):
            await r.call("stuck")
        await until(lambda: r.state("stuck") is State.ON_DISK)
        del r.world.load_gates["stuck"]
        await r.call("stuck")
        assert r.cache._memory.used == r.cache._models["stuck"].memory_bytes

    rig(test, wait_timeout=5, load_timeout=0.05, memory=1000)


def test_a_download_that_is_given_up_ends_in_its_thread(rig, until):
    async def test(r):
        r.store.gate = threading.Event()
        with pytest.raises(ModelError):
            await r.call("stuck")
        await until(lambda: r.store.cancelled == 1)
        r.store.gate.set()
        await r.call("stuck")

    rig(test, wait_timeout=5, load_timeout=0.05)


def test_every_waiter_gets_the_reason_of_a_failed_load_and_the_next_call_retries(rig):
    async def test(r):
        r.world.refused["bad"] = (500, b"no such file")
        results = await asyncio.gather(*(r.call("bad") for _ in range(10)), return_exceptions=True)
        assert {(type(e), e.original_status, e.original_message) for e in results} == {
            (ModelError, 500, "no such file")
        }
        assert r.world.loads == ["bad"]
        r.world.refused.clear()
        assert (await r.call("bad")).status == 200
        assert r.store.fetches == ["bad"]

    rig(test)


def test_absent_models_leave_no_trace(rig):
    async def test(r):
        for number in range(20):
            r.store.absent.add(f"none{number}")
            with pytest.raises(InvalidRequest):
                await r.call(f"none{number}")
        assert len(r.cache._models) == 0

    rig(test)


def test_with_the_cache_disabled_a_model_is_unloaded_and_deleted_after_its_call(rig, until):
    async def test(r):
        await r.call("a")
        await until(lambda: r.state("a") is None and r.on_disk() == [])
        assert r.world.unloads == ["a"]
        assert (await r.call("a")).body == b"a|"
        assert r.store.fetches == ["a", "a"]

    rig(test, keep=False)


def test_with_the_cache_disabled_a_model_stays_while_anybody_uses_it(rig, until):
    async def test(r):
        done = asyncio.Event()
        first = asyncio.create_task(r.call("a", hold=done))
        await until(lambda: r.cache.loaded_count == 1)
        await r.call("a")
        assert r.world.unloads == []
        done.set()
        await first
        await until(lambda: r.state("a") is None)

    rig(test, keep=False)


def test_with_the_cache_disabled_a_call_during_the_unload_loads_again(rig):
    async def test(r):
        for _ in range(5):
            assert (await r.call("a")).body == b"a|"
        assert len(r.store.fetches) == 5

    rig(test, keep=False)


def test_with_the_cache_disabled_a_model_nobody_waited_for_goes_too(rig, until):
    async def test(r):
        gate = r.world.load_gates["slow"] = asyncio.Event()
        with pytest.raises(ModelNotReadyException):
            await r.call("slow")
        gate.set()
        await until(lambda: r.state("slow") is None and r.on_disk() == [])

    rig(test, keep=False, wait_timeout=0.05)


def test_after_a_crash_models_are_loaded_from_disk_into_the_new_server(rig, until):
    async def test(r):
        await r.call("a")
        generation = r.supervisor.generation
        r.supervisor.server.crash()
        assert await r.supervisor.died(generation)
        assert r.cache.loaded_count == 0
        assert (await r.call("a")).body == b"a|"
        assert r.store.fetches == ["a"]
        assert len(r.world.servers) == 2

    rig(test)


def test_a_load_that_a_crash_interrupts_is_done_by_the_new_server(rig, until):
    async def test(r):
        gate = r.world.load_gates["a"] = asyncio.Event()
        call = asyncio.create_task(r.call("a"))
        await until(lambda: r.world.loading == 1)
        r.supervisor.server.crash()
        gate.set()
        assert (await call).body == b"a|"
        assert r.world.loads == ["a", "a"]

    rig(test)


def test_a_model_that_kills_the_server_at_each_load_is_an_error_not_a_loop(rig, until):
    async def test(r):
        class Deadly(asyncio.Event):
            async def wait(self):
                r.supervisor.server.crash()
                return True

        r.world.load_gates["deadly"] = Deadly()
        with pytest.raises(ModelError) as caught:
            await r.call("deadly")
        assert caught.value.original_status == 0
        assert r.world.loads == ["deadly", "deadly"]
        assert (await r.call("good")).body == b"good|"

    rig(test)


def test_when_the_server_is_given_up_calls_get_service_unavailable(rig, until):
    async def test(r):
        r.world.start_error = "no port"
        r.supervisor.server.crash()
        await r.supervisor.died(r.supervisor.generation)
        with pytest.raises(ServiceUnavailable, match="no port"):
            await r.call("a")
        r.world.start_error = None

    rig(test, max_restarts=2)


def test_a_call_that_gets_507_can_have_all_idle_models_unloaded(rig, until):
    async def test(r):
        for name in "abc":
            await r.call(name)
        hold = asyncio.Event()
        busy = asyncio.create_task(r.call("b", hold=hold))
        model = await r.take("c")
        await until(lambda: r.cache._models["b"].in_use == 1)
        assert await r.cache.evict_idle(keep=model) == 1
        assert r.world.unloads == ["a"]
        r.cache.release(model)
        hold.set()
        await busy

    rig(test)


def test_nearness_is_in_memory_or_coming_then_on_disk_then_absent(rig, until):
    async def test(r):
        r.world.capacity = 1
        await r.call("a")
        await r.call("b")
        assert [r.cache.holds(name) for name in "abc"] == [1, 2, 0]
        r.world.load_gates["c"] = asyncio.Event()
        call = asyncio.create_task(r.call("c"))
        await until(lambda: r.world.loading == 1)
        assert r.cache.holds("c") == 2
        r.world.load_gates["c"].set()
        await call

    rig(test)


def test_counts_downloads_loads_and_unloads_in_microseconds(rig):
    async def test(r):
        r.world.capacity = 1
        await r.call("a")
        await r.call("b")
        counted = {name: sum(h.values()) for name, h in r.metrics.histograms.items()}
        assert counted == {"ModelDownloadingTime": 2, "ModelLoadingTime": 2, "ModelUnloadingTime": 1}
        assert collections.Counter(r.world.unloads) == {"a": 1}

    rig(test)
