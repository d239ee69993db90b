"""The hosting behind the control plane: endpoints that come, change and go while calls run."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from mme_local.hosting.images import HasImage, Labels
from mme_local.hosting.plane import HostingError
from mme_local.hosting.spec import ContainerSpec, EndpointSpec, log_group
from mme_local.platform.artifacts import ArtifactStore
from mme_local.platform.errors import InvalidRequest, InvokeError
from mme_local.platform.failures import unexpected
from mme_local.platform.fleet import Fleet
from mme_local.platform.instance import ServerFactory, Surroundings
from mme_local.platform.logs import LogDelivery
from mme_local.platform.metrics import Gauge, Publisher
from mme_local.platform.request import Invocation
from mme_local.platform.settings import Settings
from mme_local.platform.utilization import Utilization
from mme_local.servers.base import ContainerServer, ServerError
from mme_local.servers.process import end_all

_log = structlog.get_logger("mme_local.platform")


@dataclass
class Handover:
    """Traffic on its way from the old fleet of an endpoint to a new one."""

    new: Fleet
    share: float = 0.0


class LocalHosting:
    """Runs endpoints on this machine, with one server process for each container of each instance.

    All methods run on one event loop and none blocks it: S3 and CloudWatch, which this very process answers for, are
    called from threads of its own.

    Args:
        endpoint_url: Where S3, CloudWatch and CloudWatch Logs are.
        root: A folder for model files and server logs; what is put there is deleted again.
        memory_budget: Bytes that the loaded models of one instance may take, each counted as 1.2 times its files; no
            limit but the server's own 507 when left out.
        disk_budget: Bytes that the model files of one instance should stay below.
        max_instances: Most instances of one variant, whatever its configuration asks for.
        server_factory: Makes a server for a container; ``mme_local.servers.choice.server_for`` when left out.
        image_labels: Finds the labels of an image that this machine has and would run as it is.
        has_image: Whether Docker has an image; None where it runs none.
        account_id: The account that messages and metrics name.
        region: The region that S3 is asked in and messages name.
        role_credentials: Access key, secret and token of an execution role's session, with which its models' artifacts
            are read and its servers' output is written; the account itself does so when left out.
        settings: Limits and times, which tests shorten.
        chance: Decides between variants; seeded by tests.
    """

    def __init__(
        self,
        endpoint_url: str,
        root: Path,
        *,
        memory_budget: int | None = None,
        disk_budget: int | None = None,
        max_instances: int = 2,
        server_factory: ServerFactory | None = None,
        image_labels: Labels | None = None,
        has_image: HasImage | None = None,
        account_id: str = "000000000000",
        region: str = "us-east-1",
        role_credentials: Callable[[str], tuple[str, str, str]] | None = None,
        settings: Settings | None = None,
        chance: random.Random | None = None,
    ) -> None:
        settings = settings or Settings()
        self._account_id = account_id
        self._image_labels = image_labels
        self._has_image = has_image
        self._root = root
        self._max_instances = max_instances
        self._chance = chance or random.Random()  # noqa: S311 - traffic shares, not secrets
        # Threads of our own: the control plane answers our S3 calls from the loop's default ones, which we must not
        # fill up with callers that wait for it.
        self._executor = ThreadPoolExecutor(settings.parallel_transfers, "mme-platform")
        self._publishing = ThreadPoolExecutor(1, "mme-metrics")
        store = ArtifactStore(
            endpoint_url,
            region=region,
            max_members=settings.max_members,
            max_bytes=settings.max_unpacked_bytes,
            role_credentials=role_credentials,
        )
        self._logs = LogDelivery(endpoint_url, interval=settings.log_interval, role_credentials=role_credentials)
        self._around = Surroundings(
            store=store,
            executor=self._executor,
            settings=settings,
            server_factory=server_factory or _real_server,
            memory_budget=memory_budget,
            disk_budget=disk_budget,
            logs=self._logs,
            log_group_arn=lambda region, name: f"arn:aws:logs:{region}:{account_id}:log-group:{log_group(name)}",
        )
        self._publisher = Publisher(
            endpoint_url,
            executor=self._publishing,
            interval=settings.publish_interval,
            gauges=self._measure,
        )
        self._utilization = Utilization(disk_budget)
        self._fleets: dict[str, Fleet] = {}
        self._handovers: dict[str, Handover] = {}
        self._running: set[Fleet] = set()
        self._changing: dict[str, asyncio.Lock] = {}
        self._number = itertools.count()
        self._closed = False

    async def deploy(self, spec: EndpointSpec) -> None:
        """Start the fleet of a new or an updated endpoint, switch traffic to it, drain and stop the old one.

        Raises:
            HostingError: The new fleet did not come up; the old one, if any, goes on serving.
        """
        async with self._change(spec.name):
            if self._closed:
                raise HostingError("mme-local is stopping")
            started = time.monotonic()
            self._executor.submit(self._around.store.connect)
            fleet = await self._started_fleet(spec)
            # The one assignment is the switch: a call reads it once and then stays with its fleet.
            old = self._fleets.get(spec.name)
            self._fleets[spec.name] = fleet
            seconds = round(time.monotonic() - started, 2)
            _log.info("deployed", endpoint=spec.name, config=spec.config_name, seconds=seconds)
            if old is not None:
                await self._retire(old)

    async def begin(self, spec: EndpointSpec) -> None:
        """Start a new fleet beside the one that serves; no call reaches it yet.

        Raises:
            HostingError: It did not come up.
        """
        async with self._change(spec.name):
            old = self._fleets[spec.name]
            new = await self._started_fleet(spec)
            # Alarms tell the two apart by their configurations' names.
            for fleet in (old, new):
                fleet.publish_by_config()
            self._handovers[spec.name] = Handover(new)

    async def shift(self, endpoint_name: str, share: float) -> None:
        """Let the new fleet answer this share of the calls, 0 to 1."""
        self._handovers[endpoint_name].share = share

    async def resize(self, spec: EndpointSpec, *, new: bool) -> None:
        """Bring the new or the old fleet to these weights and instance counts.

        Raises:
            HostingError: A new instance did not come up.
        """
        async with self._change(spec.name):
            fleet = self._handovers[spec.name].new if new else self._fleets[spec.name]
            try:
                await fleet.adjust(spec)
            except ServerError as error:
                raise HostingError(str(error)) from error

    async def finish(self, endpoint_name: str, *, keep_new: bool) -> None:
        """Give all calls to one of the two fleets, drain and stop the other."""
        async with self._change(endpoint_name):
            old, new = self._fleets[endpoint_name], self._handovers[endpoint_name].new
            if keep_new:
                self._fleets[endpoint_name] = new
            del self._handovers[endpoint_name]
            await self._retire(old if keep_new else new)

    async def adjust(self, spec: EndpointSpec) -> None:
        """Apply changed weights and instance counts of the running configuration.

        Raises:
            HostingError: The endpoint does not run, runs other variants, or a new instance did not come up.
        """
        async with self._change(spec.name):
            fleet = self._fleets.get(spec.name)
            if fleet is None:
                raise HostingError(f"endpoint {spec.name} is not running")
            try:
                await fleet.adjust(spec)
            except ServerError as error:
                raise HostingError(str(error)) from error
            _log.info("adjusted", endpoint=spec.name, **{v.name: v.instance_count for v in spec.variants})

    async def remove(self, endpoint_name: str) -> None:
        """Drain and stop the endpoint's fleet; calls that come later do not find it."""
        async with self._change(endpoint_name):
            fleet = self._fleets.pop(endpoint_name, None)
            if fleet is not None:
                await self._retire(fleet)
                _log.info("removed", endpoint=endpoint_name)

    async def image_labels(self, image: str) -> Mapping[str, str] | None:
        """The labels of an image that would run here as it is; None when it would not, or is not on this machine."""
        return None if self._image_labels is None else await self._image_labels(image)

    async def has_image(self, image: str) -> bool | None:
        """Whether Docker has an image; None when no image is to run as it is."""
        return None if self._has_image is None else await self._has_image(image)

    async def invoke(
        self, endpoint_name: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Answer InvokeEndpoint: lower-case request headers in; status, headers and body out."""
        arrived = time.perf_counter()
        try:
            fleet = self._fleets.get(endpoint_name)
            if fleet is None:
                raise InvalidRequest(f"Endpoint {endpoint_name} of account {self._account_id} not found.")
            handover = self._handovers.get(endpoint_name)
            if handover is not None and self._chance.random() < handover.share:
                fleet = handover.new
            return await fleet.invoke(Invocation(headers, body), arrived)
        except InvokeError as error:
            return error.response()
        except Exception as error:
            _log.exception("invocation failed", endpoint=endpoint_name)
            return unexpected(error).response()

    async def flush_metrics(self) -> None:
        """Deliver the metrics counted so far to CloudWatch, for whoever wants to read them now."""
        await self._publisher.flush()

    async def close(self) -> None:
        """Stop everything, without waiting for calls, and delete all files."""
        self._closed = True
        await self._logs.close()
        await self._publisher.close()
        self._fleets.clear()
        self._handovers.clear()
        await asyncio.gather(*(fleet.stop(drain=False) for fleet in self._running), return_exceptions=True)
        for change in self._changing.values():
            # A deployment under way has just lost its servers; let it clean up.
            async with change:
                pass
        await asyncio.to_thread(end_all)
        for executor in (self._executor, self._publishing):
            executor.shutdown(wait=False, cancel_futures=True)

    def _change(self, endpoint_name: str) -> asyncio.Lock:
        """One change of an endpoint at a time; calls don't look at this."""
        return self._changing.setdefault(endpoint_name, asyncio.Lock())

    async def _started_fleet(self, spec: EndpointSpec) -> Fleet:
        fleet = self._new_fleet(spec)
        self._running.add(fleet)
        try:
            await fleet.start()
            if self._closed:
                raise ServerError("mme-local is stopping")
        except BaseException as error:
            self._forget(fleet)
            await fleet.stop(drain=False)
            if isinstance(error, ServerError):
                _log.error("deployment failed", endpoint=spec.name, config=spec.config_name, error=str(error))
                raise HostingError(str(error)) from error
            raise
        return fleet

    def _new_fleet(self, spec: EndpointSpec) -> Fleet:
        # Short names: servers put unix sockets below, whose paths may have about a hundred characters.
        directory = self._root / f"f{next(self._number)}"
        return Fleet(
            spec, directory, self._publisher, self._around, max_instances=self._max_instances, chance=self._chance
        )

    async def _retire(self, fleet: Fleet) -> None:
        try:
            await fleet.stop(drain=True)
            # what it counted last belongs to the deployment
            await self._publisher.flush()
        finally:
            self._forget(fleet)

    def _forget(self, fleet: Fleet) -> None:
        self._running.discard(fleet)
        self._utilization.forget(fleet.directory)
        self._publisher.forget(variant.metrics for variant in fleet.variants.values())

    async def _measure(self) -> list[Gauge]:
        fleets = [*self._fleets.values(), *(handover.new for handover in self._handovers.values())]
        running = [(variant, i) for fleet in fleets for variant in fleet.variants.values() for i in variant.instances]
        if not running:
            return []
        measured = await asyncio.get_running_loop().run_in_executor(
            self._publishing, self._utilization.measure, {i.directory: i.disk.used for _, i in running}
        )
        gauges: list[Gauge] = []
        for variant, instance in running:
            metrics = measured[instance.directory]
            if instance.cache is not None:
                metrics["LoadedModelCount"] = instance.cache.loaded_count
            gauges += [variant.metrics.gauge(name, value) for name, value in metrics.items()]
        return gauges


def _real_server(container: ContainerSpec, work_dir: Path) -> ContainerServer:
    # its clients take a tenth of a second to import, which no start has to wait for
    from mme_local.servers.choice import server_for

    return server_for(container, work_dir)
