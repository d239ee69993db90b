"""The containers of one instance, each as one stage of its pipeline."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from mme_local.platform.cache import ModelCache
from mme_local.platform.disk import Disk
from mme_local.platform.errors import InvalidRequest, InvokeError
from mme_local.platform.failures import Failures
from mme_local.platform.model import InstanceModel
from mme_local.platform.request import Invocation, artifact_url
from mme_local.platform.settings import Settings
from mme_local.platform.supervisor import Supervisor
from mme_local.servers.base import ContainerServer, LoadError, ModelDied, ServerBroken, ServerError, ServerResponse

_log = structlog.get_logger("mme_local.platform")


class Stage(Protocol):
    """One container of a pipeline."""

    async def start(self) -> None:
        """Bring it up; ``ServerError`` says why it does not come."""

    async def stop(self) -> None:
        """End it."""

    async def invoke(self, call: Invocation, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        """Send it a body; ``InvokeError`` unless it answers with a status below 400."""

    @property
    def up(self) -> bool:
        """Whether its server takes calls."""


class _CutOff(ServerError):
    """A call was not sent, or cut off for the sake of another one: it is sent again, once."""

    def __init__(self) -> None:
        super().__init__("the model server was replaced")


class _ServerStage(ABC):
    """What multi-model and single-model containers share: calling a server and judging its answer."""

    def __init__(self, supervisor: Supervisor, failures: Failures, settings: Settings) -> None:
        self.supervisor = supervisor
        self._failures = failures
        self._settings = settings

    @property
    def up(self) -> bool:
        """Whether the server takes calls."""
        return self.supervisor.up

    async def start(self) -> None:
        """Start the server."""
        await self.supervisor.start()

    async def invoke(self, call: Invocation, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        """Run the body through the call's model."""
        try:
            try:
                response = await self._run(call, body, headers)
            except _CutOff:
                response = await self._run(call, body, headers)
        except _CutOff as error:
            raise self._failures.server_gone(error) from error
        return self._checked(response)

    @abstractmethod
    async def _run(self, call: Invocation, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        """Run the body through the call's model once."""

    async def _ready(self) -> ContainerServer:
        if self.supervisor.up:
            return self.supervisor.server
        try:
            return await self.supervisor.ready(self._settings.wait_timeout)
        except ServerError as error:
            raise self._failures.not_running(error) from error

    async def _call(
        self, call: Invocation, model: InstanceModel, body: bytes, headers: Mapping[str, str]
    ) -> ServerResponse:
        """Call the server; only a missing answer is an error here, and ``_CutOff`` one that is no fault of the call."""
        supervisor = self.supervisor
        generation, load = supervisor.generation, model.loads
        if not supervisor.up or model.given_up == load:
            raise _CutOff
        limit = self._settings.invoke_timeout
        started = time.perf_counter()
        call.server_status = 0
        try:
            # Triton knows a model by what it was loaded as, so a call that spells it "/a" must not tell.
            response = await supervisor.server.invoke(model.name, model.target_model, body, headers, limit)
            if supervisor.cut_off(generation):
                raise _CutOff
        except TimeoutError:
            self._give_up(model, generation, load)
            raise self._failures.invocation_timed_out() from None
        except ModelDied as error:
            self._give_up(model, generation, load)
            response = error.answer
        except ServerBroken as error:
            _log.warning("server is replaced", target_model=model.target_model, reason=str(error))
            supervisor.replace(generation)
            if error.answer is None:
                raise _CutOff from error
            response = error.answer
        except ServerError as error:
            if supervisor.cut_off(generation) or model.given_up == load:
                raise _CutOff from error
            await supervisor.died(generation)
            raise self._failures.server_gone(error) from error
        finally:
            call.model_seconds += time.perf_counter() - started
        call.server_status = response.status
        return response

    def _give_up(self, model: InstanceModel, generation: int, load: int) -> None:
        """See to it that later calls do not wait for a model that did not answer this one."""
        self.supervisor.replace(generation)

    def _checked(self, response: ServerResponse) -> ServerResponse:
        if response.status >= 400:
            raise self._failures.model_error(response.status, response.body.decode(errors="replace"))
        return response


class MultiModelStage(_ServerStage):
    """The container that loads models on demand."""

    def __init__(
        self, supervisor: Supervisor, cache: ModelCache, failures: Failures, settings: Settings, *, prefix: str
    ) -> None:
        super().__init__(supervisor, failures, settings)
        self.cache = cache
        self._prefix = prefix

    async def stop(self) -> None:
        """Give up loads and end the server."""
        await self.cache.close()
        await self.supervisor.stop()

    def url(self, call: Invocation) -> str:
        """Return the artifact that a request means here."""
        return artifact_url(self._prefix, call.target_model or "")

    async def _run(self, call: Invocation, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        """Run the body through the model that the request names, bringing it in first if need be."""
        assert call.target_model is not None
        url = self.url(call)
        model = self.cache.acquire_loaded(url)
        call.cache_hit = model is not None
        if model is None:
            model = await self._bring_in(call, url)
        # What a container was sent it answers, also when the caller is gone; until then the model is in use.
        answering = asyncio.create_task(self._use(call, model, body, headers))
        answering.add_done_callback(_noticed)
        return await asyncio.shield(answering)

    async def _use(
        self, call: Invocation, model: InstanceModel, body: bytes, headers: Mapping[str, str]
    ) -> ServerResponse:
        try:
            response = await self._call(call, model, body, headers)
            if response.status == 507 and await self.cache.evict_idle(keep=model):
                # A GPU may have room for a model and then not for a call of it: the platform makes some, once.
                response = await self._call(call, model, body, headers)
        finally:
            self.cache.release(model)
        return response

    def _give_up(self, model: InstanceModel, generation: int, load: int) -> None:
        self.cache.give_up(model, load)

    async def _bring_in(self, call: Invocation, url: str) -> InstanceModel:
        started = time.perf_counter()
        try:
            return await self.cache.acquire(url, call.target_model or "")
        finally:
            call.waited_seconds = time.perf_counter() - started


class SingleModelStage(_ServerStage):
    """A container with one model of its own, loaded before the first call."""

    def __init__(
        self, supervisor: Supervisor, disk: Disk, failures: Failures, settings: Settings, *, url: str | None
    ) -> None:
        super().__init__(supervisor, failures, settings)
        self._disk = disk
        self._url = url
        self._model = InstanceModel(url or "", (url or "").rpartition("/")[2])

    async def stop(self) -> None:
        """End the server."""
        await self.supervisor.stop()

    async def files(self) -> Path | None:
        """Fetch the model, unless it is inside the image."""
        model = self._model
        if model.directory is None and self._url is not None:
            try:
                model.directory, model.disk_bytes = await self._disk.fetch(model)
            except InvokeError as error:
                raise ServerError(error.message) from error
        return model.directory

    async def prepare(self, server: ContainerServer) -> None:
        """Load the model into a new server."""
        model = self._model
        if model.directory is None:
            return
        try:
            await server.load(model.name, model.target_model, model.directory)
        except LoadError as error:
            raise ServerError(f"the model at {model.url} was not loaded: {error}") from error

    async def _run(self, call: Invocation, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        """Run the body through the model."""
        await self._ready()
        return await self._call(call, self._model, body, headers)


class UnservableStage:
    """A container whose image cannot run here: every call says so, since skipping it would give wrong answers."""

    def __init__(self, container: str, image: str, reason: str) -> None:
        self._message = f"Container {container} with image {image} cannot be served locally: {reason}"
        _log.warning("container cannot be served", container=container, image=image, reason=reason)

    @property
    def up(self) -> bool:
        """It is as up as it will ever be."""
        return True

    async def start(self) -> None:
        """There is nothing to start."""

    async def stop(self) -> None:
        """There is nothing to stop."""

    async def invoke(self, call: Invocation, body: bytes, headers: Mapping[str, str]) -> ServerResponse:
        """Refuse."""
        raise InvalidRequest(self._message)


def _noticed(answering: asyncio.Task[ServerResponse]) -> None:
    """Keep asyncio from complaining of an error that nobody waits for any more."""
    if not answering.cancelled():
        answering.exception()
