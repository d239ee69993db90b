"""Production variants: the instances that host a model, and their share of the traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypedDict

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk_multi_model_endpoint._images.image import InferenceImage
from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules import warnings as advise
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.places import Place
from cdk_multi_model_endpoint._rules.tokens import digest, identity, is_token
from cdk_multi_model_endpoint._rules.units import gibibytes, gibibytes_problems, seconds, seconds_problems
from multi_model_endpoint.artifacts.findings import Advice, Problem

from .capture import CoreDump
from .metrics import VariantMetrics
from .scaling import ScalableInstanceCount


class RoutingStrategy(Enum):
    """How SageMaker chooses an instance for a request."""

    LEAST_OUTSTANDING_REQUESTS = "LEAST_OUTSTANDING_REQUESTS"
    RANDOM = "RANDOM"


class VariantOptions(TypedDict, total=False):
    """What ``MultiModelEndpoint`` and its ``add_variant`` take for a variant and can be left out.

    ``MultiModelEndpoint`` describes them.
    """

    volume_size: cdk.Size | None
    model_data_download_timeout: cdk.Duration | None
    container_startup_health_check_timeout: cdk.Duration | None
    inference_ami_version: str | None
    enable_ssm_access: bool
    core_dump: CoreDump | None
    routing_strategy: RoutingStrategy | None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What the arguments of ``MultiModelEndpoint`` or ``add_variant`` say of one variant."""

    variant_name: str
    instance_type: str
    initial_instance_count: int
    initial_variant_weight: float
    options: VariantOptions

    def id(self, scope: Construct) -> str:
        """The name as a part of construct ids, which can't have tokens."""
        return digest([identity(scope, self.variant_name)]) if is_token(self.variant_name) else self.variant_name

    def problems(self, place: Place, image: InferenceImage) -> Iterator[Problem]:
        """What SageMaker would refuse."""
        yield from validate.name("variant_name", self.variant_name)
        yield from validate.instance_type("instance_type", self.instance_type)
        yield from validate.architecture("instance_type", self.instance_type, image.architecture)
        yield from validate.at_least("initial_instance_count", self.initial_instance_count, 1)
        yield from validate.at_least("initial_variant_weight", self.initial_variant_weight, 0)
        yield from gibibytes_problems("volume_size", self.options.get("volume_size"), 1, 512)
        download = self.options.get("model_data_download_timeout")
        yield from seconds_problems("model_data_download_timeout", download, 60, 3600)
        startup = self.options.get("container_startup_health_check_timeout")
        yield from seconds_problems("container_startup_health_check_timeout", startup, 60, 3600)
        if (core_dump := self.options.get("core_dump")) is not None:
            yield from core_dump._problems(place)

    def warnings(self, image: InferenceImage, image_uri: str) -> Iterator[Advice]:
        """What AWS advises against, with the ids to acknowledge it by."""
        yield from advise.instance_count("initial_instance_count", self.initial_instance_count)
        yield from advise.instance_type("instance_type", self.instance_type)
        yield from advise.image_label(image.family, image.multi_model)
        yield from advise.gpu_image("instance_type", self.instance_type, image.family)
        if self.options.get("volume_size") is not None:
            yield from advise.volume("instance_type", self.instance_type)
        ami = self.options.get("inference_ami_version")
        yield from advise.inference_ami_version(ami, self.instance_type, image_uri)
        if (routing := self.options.get("routing_strategy")) is not None:
            yield from advise.routing_strategy(routing.value)

    def render(self, model: sagemaker.CfnModel) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        """The variant as the endpoint configuration has it."""
        options = self.options
        core_dump, routing = options.get("core_dump"), options.get("routing_strategy")
        return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
            variant_name=self.variant_name,
            model_name=model.attr_model_name,
            instance_type=self.instance_type,
            initial_instance_count=self.initial_instance_count,
            initial_variant_weight=self.initial_variant_weight,
            volume_size_in_gb=gibibytes(options.get("volume_size")),
            model_data_download_timeout_in_seconds=seconds(options.get("model_data_download_timeout")),
            container_startup_health_check_timeout_in_seconds=seconds(
                options.get("container_startup_health_check_timeout")
            ),
            inference_ami_version=options.get("inference_ami_version"),
            enable_ssm_access=options.get("enable_ssm_access") or None,
            core_dump_config=None if core_dump is None else core_dump._render(),
            routing_config=None
            if routing is None
            else sagemaker.CfnEndpointConfig.RoutingConfigProperty(routing_strategy=routing.value),
        )


class ProductionVariant(VariantMetrics):
    """A production variant of an endpoint: its metrics, and its scaling.

    Made by ``MultiModelEndpoint`` and its ``add_variant``.

    Attributes:
        instance_type: Its instances.
        initial_instance_count: How many it starts with.
        model_cache: Whether its container keeps models loaded.
    """

    instance_type: str
    initial_instance_count: int
    model_cache: bool

    def __init__(
        self,
        scope: Construct,
        endpoint: sagemaker.CfnEndpoint,
        endpoint_name: str,
        variant: Variant,
        model_cache: bool,
        on_autoscaled: Callable[[], None],
    ) -> None:
        super().__init__(scope, endpoint_name, variant.variant_name)
        self._id = variant.id(scope)
        self.instance_type = variant.instance_type
        self.initial_instance_count = variant.initial_instance_count
        self.model_cache = model_cache
        self._scope = scope
        self._endpoint = endpoint
        self._endpoint_name = endpoint_name
        self._on_autoscaled = on_autoscaled
        self._scaling: ScalableInstanceCount | None = None

    @checked
    def auto_scale_instance_count(self, *, max_capacity: int, min_capacity: int | None = None) -> ScalableInstanceCount:
        """Let the instance count follow the load; call the policies of what it returns.

        From then on an update of the endpoint keeps the live instance count, unless the endpoint's
        ``retain_variant_properties`` is False.

        Args:
            max_capacity: The most instances, at least the initial count.
            min_capacity: The fewest instances, 1 to the initial count. Left out, the initial count, so that scaling
                does not undo the two Availability Zones.

        Raises:
            InvalidEndpointError: If the bounds don't fit, the instances are burstable (``ml.t2``), or the variant
                scales already.

        https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoints-autoscaling.html
        """
        initial = self.initial_instance_count
        minimum = initial if min_capacity is None else min_capacity
        problems = list(validate.scalable("instance_type", self.instance_type))
        problems += validate.capacity(minimum, max_capacity)
        problems += validate.capacity_around("initial_instance_count", initial, minimum, max_capacity)
        if self._scaling is not None:
            problems.append(
                Problem(
                    "scaledTwice",
                    f"auto_scale_instance_count can be called once per variant, got {self.variant_name!r} again",
                )
            )
        raise_if_any(self._scope, problems)
        self._scaling = ScalableInstanceCount(
            self._scope,
            f"Scaling-{self._id}",
            endpoint=self._endpoint,
            endpoint_name=self._endpoint_name,
            metrics=self,
            instance_type=self.instance_type,
            min_capacity=minimum,
            max_capacity=max_capacity,
        )
        self._on_autoscaled()
        return self._scaling
