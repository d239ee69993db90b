"""One production variant: its instances, and which of them takes a call."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import structlog

from mme_local.hosting.spec import VariantSpec
from mme_local.platform.errors import InvokeError, ModelError, ServiceUnavailable
from mme_local.platform.instance import Instance, Surroundings
from mme_local.platform.metrics import VariantMetrics, microseconds
from mme_local.platform.request import Invocation
from mme_local.servers.base import ServerResponse

_log = structlog.get_logger("mme_local.platform")

_HUNG_UP = 499
"""The status of a call whose caller is gone, as web servers count it."""


class RunningVariant:
    """The instances of a variant behind a router that knows which of them holds which model.

    Args:
        endpoint_name: The endpoint it belongs to.
        spec: What to run.
        directory: A folder of its own.
        metrics: Its counters.
        around: What all instances share.
        max_instances: Most instances, whatever the spec asks for: they all share this machine.
    """

    def __init__(
        self,
        endpoint_name: str,
        spec: VariantSpec,
        directory: Path,
        metrics: VariantMetrics,
        around: Surroundings,
        *,
        max_instances: int,
    ) -> None:
        self._endpoint_name = endpoint_name
        self.spec = spec
        self.weight = spec.weight
        self._directory = directory
        self.metrics = metrics
        self._around = around
        self._max_instances = max_instances
        self._number = itertools.count()
        self.instances: list[Instance] = []
        self._requested = spec.instance_count

    async def scale(self, count: int) -> None:
        """Run ``count`` instances, up to the cap; surplus ones finish their calls first.

        Raises:
            ServerError: A new one did not come up; the others are as before.
        """
        self._requested = count
        count = min(count, self._max_instances)
        missing = count - len(self.instances)
        if missing > 0:
            new = [self._new_instance() for _ in range(missing)]
            results = await asyncio.gather(*(instance.start() for instance in new), return_exceptions=True)
            failures = [result for result in results if result is not None]
            if failures:
                await asyncio.gather(*(i.stop() for i, r in zip(new, results, strict=True) if r is None))
                raise failures[0]
            self.instances += new
        elif missing < 0:
            surplus = self.instances[count:]
            del self.instances[count:]
            await asyncio.gather(*(retire(instance) for instance in surplus))

    async def stop(self, *, drain: bool) -> None:
        """End all instances, after the calls that they are answering when ``drain`` is set."""
        instances, self.instances = self.instances, []
        await asyncio.gather(*(retire(instance) if drain else instance.stop() for instance in instances))

    async def invoke(self, call: Invocation, arrived: float) -> ServerResponse:
        """Answer a request on the instance that suits it best, and count what happened."""
        status = 500
        try:
            response = await self._pick(call).invoke(call)
            status = 200
            return response
        except asyncio.CancelledError:
            status = _HUNG_UP
            raise
        except ModelError as error:
            status = error.original_status or 500
            raise
        except InvokeError as error:
            status = error.status
            raise
        finally:
            self._count(call, arrived, status)

    def _pick(self, call: Invocation) -> Instance:
        instances = self.instances
        if len(instances) == 1:
            return instances[0]
        candidates = [instance for instance in instances if instance.up] or instances
        if not candidates:
            raise ServiceUnavailable(f"Variant {self.spec.name} of endpoint {self._endpoint_name} has no instance")
        best = min(candidates, key=lambda instance: (-instance.nearness(call), instance.in_flight))
        calmest = min(candidates, key=lambda instance: instance.in_flight)
        # Under heavy traffic for one model SageMaker loads it on more instances.
        return calmest if best.in_flight - calmest.in_flight >= self._around.settings.spread_at else best

    def _count(self, call: Invocation, arrived: float, status: int) -> None:
        add = self.metrics.add
        add("Invocations", 1)
        # of the count that was asked for, as on SageMaker, where all of them run
        add("InvocationsPerInstance", 1 / max(1, self._requested))
        add("Invocation4XXErrors", int(400 <= status < 500))
        add("Invocation5XXErrors", int(status >= 500))
        if call.server_status is not None:
            add("InvocationModelErrors", int(not 200 <= call.server_status < 300))
            add("ModelLatency", microseconds(call.model_seconds))
        add("OverheadLatency", microseconds(max(0.0, time.perf_counter() - arrived - call.model_seconds)))
        if call.cache_hit is not None:
            add("ModelCacheHit", int(call.cache_hit))
        if call.waited_seconds is not None:
            add("ModelLoadingWaitTime", microseconds(call.waited_seconds))

    def _new_instance(self) -> Instance:
        directory = self._directory / f"i{next(self._number)}"
        return Instance(self._endpoint_name, self.spec, directory, self.metrics, self._around)


async def retire(instance: Instance) -> None:
    """Let an instance finish its calls and end it."""
    await instance.drain()
    await instance.stop()
