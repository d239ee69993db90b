"""One instance of a variant: the servers of its containers, run in pipeline order."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from mme_local.hosting.spec import ContainerSpec, VariantSpec
from mme_local.platform.artifacts import ArtifactError, ArtifactStore, remove_tree
from mme_local.platform.cache import ModelCache
from mme_local.platform.disk import Disk
from mme_local.platform.errors import InvokeError
from mme_local.platform.failures import Failures
from mme_local.platform.loader import Loader
from mme_local.platform.logs import LogDelivery, LogStream
from mme_local.platform.metrics import VariantMetrics
from mme_local.platform.request import Invocation
from mme_local.platform.settings import Settings
from mme_local.platform.stages import MultiModelStage, SingleModelStage, Stage, UnservableStage
from mme_local.platform.supervisor import Supervisor
from mme_local.servers.base import ContainerServer, ServerError, ServerResponse, UnsupportedImage

_log = structlog.get_logger("mme_local.platform")

_SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"

ServerFactory = Callable[[ContainerSpec, Path], ContainerServer]
"""Makes a server, not started yet, for a container; ``UnsupportedImage`` when its image cannot be served here."""


@dataclass(frozen=True)
class Surroundings:
    """What all instances share.

    Attributes:
        store: Brings artifacts from S3.
        executor: Threads for whatever blocks.
        settings: The platform's numbers.
        server_factory: Makes the servers.
        memory_budget: Bytes for loaded models, an instance.
        disk_budget: Bytes for model files, an instance.
        logs: Delivers the servers' output.
        log_group_arn: Makes the ARN of an endpoint's log group, of its region and name.
    """

    store: ArtifactStore
    executor: Executor
    settings: Settings
    server_factory: ServerFactory
    memory_budget: int | None
    disk_budget: int | None
    logs: LogDelivery
    log_group_arn: Callable[[str, str], str]


class Instance:
    """The containers of one instance and the calls that run on it.

    Args:
        endpoint_name: The endpoint it belongs to.
        variant: The variant it belongs to.
        directory: A folder of its own; ``stop`` deletes it.
        metrics: Counters of the variant.
        around: What all instances share.
    """

    def __init__(
        self, endpoint_name: str, variant: VariantSpec, directory: Path, metrics: VariantMetrics, around: Surroundings
    ) -> None:
        self._endpoint_name = endpoint_name
        self._variant = variant
        self.directory = directory
        self._metrics = metrics
        self._around = around
        store = around.store.as_role(variant.execution_role)
        self.disk = Disk(store, directory / "models", around.executor, budget=around.disk_budget)
        self._id = f"i-{secrets.token_hex(9)[1:]}"
        self._logs: list[LogStream] = []
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._stages: list[Stage] = []
        self._index = {container.hostname: index for index, container in enumerate(variant.containers)}
        self._multi_model: MultiModelStage | None = None

    @property
    def up(self) -> bool:
        """Whether all its servers take calls."""
        return all(stage.up for stage in self._stages)

    @property
    def cache(self) -> ModelCache | None:
        """The models of its multi-model container."""
        return None if self._multi_model is None else self._multi_model.cache

    async def start(self) -> None:
        """Start its servers, all at once; ``ServerError`` names the container that did not come up."""
        try:
            for index, container in enumerate(self._variant.containers):
                with self._naming(index):
                    self._stages.append(self._stage(index, await self._with_code(index, container)))
            starts = [self._start(i, stage) for i, stage in enumerate(self._stages)]
            failures = [e for e in await asyncio.gather(*starts, return_exceptions=True) if e is not None]
            for failure in failures:
                raise failure
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End its servers, whatever they are doing, and delete its files."""
        for result in await asyncio.gather(*(stage.stop() for stage in self._stages), return_exceptions=True):
            if isinstance(result, Exception):
                _log.warning("server did not stop cleanly", endpoint=self._endpoint_name, error=str(result))
        logs, self._logs = self._logs, []
        await self._around.logs.end(logs)
        await asyncio.get_running_loop().run_in_executor(self._around.executor, remove_tree, self.directory)

    async def drain(self) -> None:
        """Wait until no call runs on it, or ``drain_timeout`` is over."""
        if self.in_flight:
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), self._around.settings.drain_timeout)
            except TimeoutError:
                _log.warning("calls cut off", endpoint=self._endpoint_name, calls=self.in_flight)

    def nearness(self, call: Invocation) -> int:
        """Rank how near the model of a request is: 2 in memory, 1 on disk, 0 in S3."""
        stage = self._multi_model
        return 0 if stage is None or call.target_model is None else stage.cache.holds(stage.url(call))

    async def invoke(self, call: Invocation) -> ServerResponse:
        """Run a request through the pipeline, or through the one container that it names.

        The output of one container, with its content type, is the input of the next; only the last is told what the
        caller accepts.
        """
        self.in_flight += 1
        try:
            stages = self._stages
            if self._variant.direct:
                stages = [stages[self._index[call.target_container]]]
            last = len(stages) - 1
            body, headers = call.body, call.forwarded
            if last == 0:
                return await stages[0].invoke(call, body, headers)
            accept = headers.pop("accept", None)
            for index, stage in enumerate(stages):
                if index == last and accept is not None:
                    headers["accept"] = accept
                response = await stage.invoke(call, body, headers)
                body = response.body
                headers = {**headers, "content-type": content_type(response)}
            return response
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._idle.set()

    async def _with_code(self, index: int, container: ContainerSpec) -> ContainerSpec:
        """Fetch the code that a container in script mode takes from S3 when it starts, as its role may."""
        url = container.environment.get(_SUBMIT_DIRECTORY, "")
        if not container.environment.get("SAGEMAKER_PROGRAM") or not url.startswith("s3://"):
            return container
        if self._variant.network_isolation:
            raise ServerError(f"{_SUBMIT_DIRECTORY} {url} is out of reach of a container with EnableNetworkIsolation")
        folder = self.directory / f"c{index}" / "code"
        folder.parent.mkdir(parents=True, exist_ok=True)
        fetch = self._around.store.as_role(self._variant.execution_role).fetch
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._around.executor, fetch, url, folder, threading.Event())
        except ArtifactError as error:
            raise ServerError(f"{_SUBMIT_DIRECTORY} {url} was not fetched: {error}") from error
        return replace(container, environment={**container.environment, _SUBMIT_DIRECTORY: str(folder)})

    def _stage(self, index: int, container: ContainerSpec) -> Stage:
        around, settings = self._around, self._around.settings
        name = container_name(self._variant, index)
        label = f"{self._endpoint_name}/{self._variant.name}/{self.directory.name}/{name}"
        failures = Failures(self._endpoint_name, name, around.log_group_arn(self._metrics.region, self._endpoint_name))
        work_dir = self.directory / f"c{index}"
        log = self._log_stream(name)

        def make(generation: int) -> ContainerServer:
            folder = work_dir / str(generation)
            folder.mkdir(parents=True, exist_ok=True)
            log.follow(folder / "server.log")
            return around.server_factory(container, folder)

        try:
            supervisor = Supervisor(make, startup_timeout=self._variant.startup_timeout, settings=settings, label=label)
        except UnsupportedImage as error:
            return self._unservable(index, error)
        if not container.multi_model:
            single = SingleModelStage(supervisor, self.disk, failures, settings, url=container.model_data_url)
            supervisor.files, supervisor.prepare = single.files, single.prepare
            return single
        assert container.model_data_url is not None, "CreateModel asks for it"
        cache = ModelCache(
            Loader(supervisor, failures, settings),
            self.disk,
            failures,
            self._metrics,
            settings,
            memory_budget=around.memory_budget,
            keep=container.model_cache,
            label=label,
        )
        supervisor.files, supervisor.on_down = self._models, cache.forget_memory
        self._multi_model = MultiModelStage(supervisor, cache, failures, settings, prefix=container.model_data_url)
        return self._multi_model

    def _unservable(self, index: int, error: UnsupportedImage) -> UnservableStage:
        container = self._variant.containers[index]
        if container.multi_model:
            self._multi_model = None
        return UnservableStage(container_name(self._variant, index), container.image, str(error))

    async def _models(self) -> Path:
        return self.disk.directory

    def _log_stream(self, container: str) -> LogStream:
        name = f"{self._variant.name}/{self._id}"
        if len(self._variant.containers) > 1:
            name += f"/{container}"
        role = self._variant.execution_role
        stream = self._around.logs.stream(self._endpoint_name, name, region=self._metrics.region, role=role)
        self._logs.append(stream)
        return stream

    async def _start(self, index: int, stage: Stage) -> None:
        with self._naming(index):
            try:
                await stage.start()
            except UnsupportedImage as error:
                self._stages[index] = self._unservable(index, error)

    @contextmanager
    def _naming(self, index: int) -> Iterator[None]:
        """Say in SageMaker's words which container it is that does not come up."""
        try:
            yield
        except (ServerError, InvokeError) as error:
            name = container_name(self._variant, index)
            raise ServerError(
                f"The {name} container for production variant {self._variant.name} did not pass the ping health "
                f"check: {error}"
            ) from error


def container_name(variant: VariantSpec, index: int) -> str:
    """Return what SageMaker calls a container in messages: its hostname, or its place in the pipeline."""
    hostname = variant.containers[index].hostname
    if hostname is not None:
        return hostname
    return "primary" if len(variant.containers) == 1 else f"container-{index + 1}"


def content_type(response: ServerResponse) -> str:
    """Return the content type of a container's answer."""
    return response.headers.get("Content-Type") or response.headers.get("content-type") or "application/octet-stream"
