"""The models of one instance: which are on its disk, which are in its server's memory, and who goes when it is full.

Everything runs on the event loop, so a method without ``await`` is atomic, and that is all the locking that calls of
loaded models see. A model's download and load is one task however many calls wait for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import structlog

from mme_local.platform.disk import Disk, Forsaken, NoRoomOnDisk
from mme_local.platform.errors import InvokeError, ModelNotReadyException, ServiceUnavailable
from mme_local.platform.failures import Failures, unexpected
from mme_local.platform.loader import Loader
from mme_local.platform.memory import Memory
from mme_local.platform.metrics import VariantMetrics, microseconds
from mme_local.platform.model import RESIDENT, InstanceModel, State
from mme_local.platform.settings import Settings
from mme_local.servers.base import OutOfMemory

_log = structlog.get_logger("mme_local.platform")
_T = TypeVar("_T")


class ModelCache:
    """Brings models from S3 to disk to memory, and out again, least recently used first.

    Args:
        loader: Loads them into the server.
        disk: Where their files are.
        failures: Words for what goes wrong.
        metrics: Counters of the variant.
        settings: Time limits.
        memory_budget: Bytes that all loaded models together may take, by ``InstanceModel.memory_need``; no limit but
            the server's own when left out.
        keep: ``ModelCacheSetting``: when False, a model is unloaded and deleted as soon as nobody uses it.
        label: What the log calls the instance.
    """

    def __init__(
        self,
        loader: Loader,
        disk: Disk,
        failures: Failures,
        metrics: VariantMetrics,
        settings: Settings,
        *,
        memory_budget: int | None,
        keep: bool,
        label: str,
    ) -> None:
        self._loader = loader
        self._disk = disk
        self._failures = failures
        self._metrics = metrics
        self._settings = settings
        self._memory = Memory(memory_budget, self._evict_one)
        self._keep = keep
        self._log = _log.bind(instance=label)
        self._models: dict[str, InstanceModel] = {}
        # The same by state, so that nothing looks through those on disk, of which there may be thousands, for those in
        # memory; each in order of last use or, since then, of arrival there, least recent first.
        self._by_state: dict[State, OrderedDict[str, InstanceModel]] = {state: OrderedDict() for state in State}
        self._loaded = self._by_state[State.LOADED]
        self._trimming = False
        self._turns = asyncio.Semaphore(settings.parallel_loads)
        self._tasks: set[asyncio.Task[Any]] = set()

    # What callers see

    def acquire_loaded(self, url: str) -> InstanceModel | None:
        """Return the model, marked as in use, if it is loaded; the whole warm path of the cache."""
        model = self._loaded.get(url)
        if model is None:
            return None
        model.in_use += 1
        self._loaded.move_to_end(url)
        return model

    async def acquire(self, url: str, target_model: str) -> InstanceModel:
        """Return the model, loaded and marked as in use, after bringing it in if need be.

        Raises:
            InvokeError: It could not be loaded, or not in ``wait_timeout``; in the latter case the load goes on.
        """
        deadline = time.monotonic() + self._settings.wait_timeout
        model = self._models.get(url)
        if model is None:
            model = self._models[url] = self._by_state[State.ABSENT][url] = InstanceModel(url, target_model)
        # Whoever waits is a user: nobody may evict the model between the end of its load and the waiter's turn.
        model.in_use += 1
        model.forsaken = False
        self._by_state[model.state].move_to_end(url)
        try:
            while model.state is not State.LOADED:
                if model.loading is None:
                    model.loading = self._spawn(self._bring_in(model))
                load = model.loading
                await asyncio.wait({load}, timeout=max(0.0, deadline - time.monotonic()))
                if not load.done():
                    raise ModelNotReadyException(
                        f"Model {target_model} is being downloaded or loaded; try again in a little while"
                    )
                error = ServiceUnavailable("The instance is stopping") if load.cancelled() else load.result()
                if error is not None:
                    raise error
        except BaseException as error:
            model.forsaken = model.in_use == 1 and isinstance(error, asyncio.CancelledError)
            self.release(model)
            raise
        return model

    def release(self, model: InstanceModel) -> None:
        """Give back a model that ``acquire`` or ``acquire_loaded`` returned."""
        model.in_use -= 1
        if model.idle:
            self._went_idle(model)

    def _went_idle(self, model: InstanceModel) -> None:
        if model.state is State.LOADED and (self._memory.starving or not self._keep):
            # Unloading here and now, rather than when the load that waits for room runs next, keeps a busy model from
            # being taken again in between, forever.
            self._memory.starving = False
            self._start_unload(model, delete=not self._keep)
        elif model.state is State.ON_DISK and model.loading is None and not self._keep:
            self._delete(model)
        if self._disk.over_budget and not self._trimming:
            self._spawn(self._trim_disk())
        self._forget_if_gone(model)
        self._memory.changed()

    def give_up(self, model: InstanceModel, load: int) -> None:
        """Unload a model that did not answer after its ``load``-th load, though others may be waiting for answers, too.

        Those are cut off; the next call loads it again.
        """
        if model.state is State.LOADED and model.loads == load:
            self._log.warning("given up", target_model=model.target_model)
            model.given_up = load
            self._start_unload(model, hangs=True)

    def holds(self, url: str) -> int:
        """Rank how near the model is: 2 loaded or on its way there, 1 on disk, 0 not here."""
        model = self._models.get(url)
        if model is None:
            return 0
        if model.state is State.LOADED or model.loading is not None:
            return 2
        return 1 if model.state is State.ON_DISK else 0

    @property
    def loaded_count(self) -> int:
        """Number of models in the server's memory."""
        return len(self._loaded)

    @property
    def disk_used(self) -> int:
        """Bytes of all models' files."""
        return self._disk.used

    def forget_memory(self) -> None:
        """Take note that the server died: nothing is loaded any more, all files are still there."""
        for model in list(self._loaded.values()):
            self._to_disk_state(model)
        self._memory.changed()

    async def evict_idle(self, keep: InstanceModel) -> int:
        """Unload every model that nobody uses, for a call that the server had no memory for; return how many."""
        victims = [model for model in self._loaded.values() if model is not keep and model.idle]
        unloads = [self._start_unload(model) for model in victims]
        if unloads:
            self._log.info("evicted for an invocation", models=len(unloads), target_model=keep.target_model)
            await asyncio.wait(unloads)
        return len(unloads)

    async def close(self) -> None:
        """Give up every load under way."""
        while self._tasks:
            tasks = set(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # From S3 to memory

    async def _bring_in(self, model: InstanceModel) -> Exception | None:
        """Download and load a model; the error is a result, because each waiter gets it."""
        try:
            await asyncio.wait_for(self._download_and_load(model), self._settings.load_timeout)
        except Forsaken:
            self._log.info("forsaken", target_model=model.target_model)
        except InvokeError as error:
            self._log.warning("load failed", target_model=model.target_model, error=error.message)
            return error
        except TimeoutError:
            self._log.warning("load timed out", target_model=model.target_model, seconds=self._settings.load_timeout)
            return self._failures.load_timed_out(model)
        except Exception as error:
            self._log.exception("load failed", target_model=model.target_model)
            return unexpected(error)
        finally:
            model.loading = None
            if model.idle:
                # Every caller has given up waiting meanwhile.
                self._went_idle(model)
            self._memory.changed()
        return None

    async def _download_and_load(self, model: InstanceModel) -> None:
        if model.unloading is not None:
            await asyncio.wait({model.unloading})
        if model.state is State.ABSENT:
            await self._download(model)
        await self._trim_disk()
        budget = self._memory.budget
        if budget is not None and model.memory_need > budget:
            raise self._failures.too_big(model, model.memory_need, budget, "memory")
        async with self._turns:
            if model.forsaken:
                raise Forsaken
            await self._memory.reserve(model)
            try:
                await self._load(model)
            except OutOfMemory as error:
                await self._load_into_room(model, error)

    async def _download(self, model: InstanceModel) -> None:
        self._set_state(model, State.DOWNLOADING)
        started = time.monotonic()
        try:
            model.directory, model.disk_bytes = await self._fetch(model)
            self._set_state(model, State.ON_DISK)
        finally:
            if model.state is State.DOWNLOADING:
                self._set_state(model, State.ABSENT)
        seconds = time.monotonic() - started
        self._metrics.add("ModelDownloadingTime", microseconds(seconds))
        self._log.info("downloaded", target_model=model.target_model, bytes=model.disk_bytes, ms=round(seconds * 1e3))

    async def _fetch(self, model: InstanceModel) -> tuple[Path, int]:
        """Download a model; where the disk is full, delete others one by one, until it has room or none is left."""
        while True:
            try:
                return await self._disk.fetch(model)
            except NoRoomOnDisk as error:
                deletion = await self._delete_one()
                if deletion is None:
                    raise self._failures.disk_full(model, error) from error
                await asyncio.wrap_future(deletion)

    async def _load(self, model: InstanceModel) -> None:
        """Load a model for which memory is set aside; on any failure the memory is given back."""
        model.crowded = self._others_in_memory(model)
        for other in self._by_state[State.LOADING].values():
            other.crowded = True
        self._set_state(model, State.LOADING)
        started = time.monotonic()
        try:
            await self._loader.load(model)
        except (OutOfMemory, InvokeError):
            self._to_disk_state(model)
            raise
        except BaseException:
            # Given up in the middle: the server may or may not hold it, so make sure that it does not.
            self._start_unload(model, hangs=True)
            raise
        self._set_state(model, State.LOADED)
        model.loads += 1
        seconds = time.monotonic() - started
        self._metrics.add("ModelLoadingTime", microseconds(seconds))
        self._log.info("loaded", target_model=model.target_model, ms=round(seconds * 1e3), loaded=self.loaded_count)

    async def _load_into_room(self, model: InstanceModel, error: OutOfMemory) -> None:
        """Load a model that the server had no memory for: unload others one by one, until it has or none is left."""
        async with self._memory.lane:
            while model.crowded:
                if not await self._evict_one(f"{model.target_model} got 507") and self._others_in_memory(model):
                    await self._memory.wait_for_room()
                    continue
                await self._memory.make_room(model)
                try:
                    await self._load(model)
                    return
                except OutOfMemory as again:
                    error = again
            self._log.warning("out of memory", target_model=model.target_model)
            raise self._failures.load_refused(error)

    # From memory to disk

    def _to_disk_state(self, model: InstanceModel) -> None:
        """The model is not in memory: its files are what is left of it."""
        self._set_state(model, State.ON_DISK)
        self._memory.give_back(model)

    def _set_state(self, model: InstanceModel, state: State) -> None:
        del self._by_state[model.state][model.url]
        model.state = state
        self._by_state[state][model.url] = model

    def _others_in_memory(self, model: InstanceModel) -> bool:
        return sum(len(self._by_state[state]) for state in RESIDENT) > model.resident

    def _victim(self, state: State) -> InstanceModel | None:
        return next((m for m in self._by_state[state].values() if m.idle and m.loading is None), None)

    async def _evict_one(self, reason: str) -> bool:
        """Unload the least recently used model that nobody uses; False when there is none.

        An unload that is under way anyway is waited for first: it may make the room that is needed.
        """
        under_way = [m.unloading for m in self._by_state[State.UNLOADING].values() if m.unloading is not None]
        if under_way:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            return True
        victim = self._victim(State.LOADED)
        if victim is None:
            return False
        self._log.info("evicted from memory", target_model=victim.target_model, reason=reason)
        await asyncio.wait({self._start_unload(victim)})
        return True

    def _start_unload(self, model: InstanceModel, *, delete: bool = False, hangs: bool = False) -> asyncio.Task[None]:
        self._set_state(model, State.UNLOADING)
        model.unloading = self._spawn(self._unload(model, delete, hangs))
        return model.unloading

    async def _unload(self, model: InstanceModel, delete: bool, hangs: bool) -> None:
        started = time.monotonic()
        try:
            await (self._loader.abandon(model) if hangs else self._loader.unload(model))
        finally:
            seconds = time.monotonic() - started
            self._to_disk_state(model)
            model.unloading = None
            self._metrics.add("ModelUnloadingTime", microseconds(seconds))
            self._log.info("unloaded", target_model=model.target_model, ms=round(seconds * 1e3))
            if delete:
                self._delete(model)
                self._forget_if_gone(model)
            self._memory.changed()

    # Disk

    async def _trim_disk(self) -> None:
        """Delete files until the budget is met: of unloaded models first, then of loaded ones, never of one in use.

        While everything on disk is in use the budget is exceeded: waiting for others to end could wait for itself.
        """
        if self._trimming:
            return
        self._trimming = True
        try:
            while self._disk.over_budget:
                if await self._delete_one() is None:
                    return
        finally:
            self._trimming = False

    async def _delete_one(self) -> Future[None] | None:
        """Begin to delete the files of a model that nobody uses; None when there is none."""
        while (victim := self._victim(State.ON_DISK)) is None:
            victim = self._victim(State.LOADED)
            if victim is None:
                return None
            await asyncio.wait({self._start_unload(victim)})
        self._log.info("deleted from disk", target_model=victim.target_model, bytes=victim.disk_bytes)
        deletion = self._delete(victim)
        self._forget_if_gone(victim)
        return deletion

    def _delete(self, model: InstanceModel) -> Future[None]:
        assert model.directory is not None
        deletion = self._disk.delete(model.directory, model.disk_bytes)
        self._set_state(model, State.ABSENT)
        model.directory = None
        model.disk_bytes = 0
        return deletion

    def _forget_if_gone(self, model: InstanceModel) -> None:
        """Drop the record of a model of which nothing is here: callers may ask for any number of absent ones."""
        if model.state is State.ABSENT and model.idle and model.loading is None:
            self._models.pop(model.url, None)
            self._by_state[State.ABSENT].pop(model.url, None)

    def _spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
