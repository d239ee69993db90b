"""What one endpoint configuration runs: its variants, and how calls are spread over them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from mme_local.hosting.headers import CUSTOM_ATTRIBUTES
from mme_local.hosting.spec import EndpointSpec
from mme_local.platform.artifacts import remove_tree
from mme_local.platform.errors import InvalidRequest, ServiceUnavailable
from mme_local.platform.instance import Surroundings, content_type
from mme_local.platform.metrics import Publisher
from mme_local.platform.request import Invocation
from mme_local.platform.variant import RunningVariant
from mme_local.servers.base import ServerError


class Fleet:
    """The running variants of an endpoint under one configuration.

    Args:
        spec: What to run.
        directory: A folder of its own; ``stop`` deletes it.
        publisher: Has the variants' counters.
        around: What all instances share.
        max_instances: Most instances of one variant.
        chance: Decides between variants.
    """

    def __init__(
        self,
        spec: EndpointSpec,
        directory: Path,
        publisher: Publisher,
        around: Surroundings,
        *,
        max_instances: int,
        chance: random.Random,
    ) -> None:
        self.spec = spec
        self.directory = directory
        self._around = around
        self._chance = chance
        self.variants = {
            variant.name: RunningVariant(
                spec.name,
                variant,
                directory / f"v{index}",
                publisher.of(spec.name, variant.name, spec.config_name, spec.region),
                around,
                max_instances=max_instances,
            )
            for index, variant in enumerate(spec.variants)
        }
        self._only = next(iter(self.variants.values())) if len(self.variants) == 1 else None

    def publish_by_config(self) -> None:
        """Deliver the metrics with the configuration's name as a dimension too, from now on."""
        for variant in self.variants.values():
            variant.metrics.by_config = True

    async def start(self) -> None:
        """Start every instance, or none: ``ServerError`` says which container did not come up."""
        starts = [variant.scale(variant.spec.instance_count) for variant in self.variants.values()]
        try:
            for result in await asyncio.gather(*starts, return_exceptions=True):
                if result is not None:
                    raise result
        except BaseException:
            await self.stop(drain=False)
            raise

    async def stop(self, *, drain: bool) -> None:
        """End every instance, after the calls under way when ``drain`` is set, and delete the fleet's files."""
        await asyncio.gather(*(variant.stop(drain=drain) for variant in self.variants.values()))
        await asyncio.get_running_loop().run_in_executor(self._around.executor, remove_tree, self.directory)

    async def adjust(self, spec: EndpointSpec) -> None:
        """Apply the weights and counts of ``spec`` to the variants that run.

        Raises:
            ServerError: ``spec`` has other variants, or a new instance did not come up.
        """
        if {variant.name for variant in spec.variants} != set(self.variants):
            raise ServerError(f"endpoint {spec.name} runs variants {sorted(self.variants)}, which adjusting keeps")
        for variant in spec.variants:
            self.variants[variant.name].weight = variant.weight
        scalings = [self.variants[variant.name].scale(variant.instance_count) for variant in spec.variants]
        for result in await asyncio.gather(*scalings, return_exceptions=True):
            if result is not None:
                raise result
        self.spec = spec

    async def invoke(self, call: Invocation, arrived: float) -> tuple[int, Mapping[str, str], bytes]:
        """Answer a request on the variant that it names, or on one by weight."""
        variant = self._pick(call)
        call.check_target(self.spec.name, variant.spec)
        response = await variant.invoke(call, arrived)
        headers = {
            "content-type": content_type(response),
            "x-amzn-invoked-production-variant": variant.spec.name,
        }
        attributes = response.headers.get(CUSTOM_ATTRIBUTES) or response.headers.get(
            "X-Amzn-SageMaker-Custom-Attributes"
        )
        if attributes:
            headers[CUSTOM_ATTRIBUTES] = attributes
        return 200, headers, response.body

    def _pick(self, call: Invocation) -> RunningVariant:
        name = call.target_variant
        if name is not None:
            variant = self.variants.get(name)
            if variant is None:
                raise InvalidRequest(f"Variant {name} not found for endpoint {self.spec.name}.")
            return variant
        if self._only is not None and self._only.weight > 0:
            return self._only
        variants = list(self.variants.values())
        total = sum(variant.weight for variant in variants)
        if total <= 0:
            raise ServiceUnavailable(f"All variants of endpoint {self.spec.name} have weight 0; name a TargetVariant.")
        chosen = self._chance.random() * total
        for variant in variants:
            chosen -= variant.weight
            if chosen < 0:
                return variant
        return next(variant for variant in reversed(variants) if variant.weight > 0)
