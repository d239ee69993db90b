"""From an endpoint configuration to what the data plane shall host."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from mme_local.hosting.plane import HostingError
from mme_local.hosting.spec import SAFE_PORTS, ContainerSpec, EndpointSpec, VariantSpec
from mme_local.sagemaker.records import Endpoint, EndpointConfig, Model, Region, Variant

_GRAVITON = re.compile(r"ml\.[a-z]+\d+g[a-z]*\.")
_FIRST_PORT = 14000


def new_variants(region: Region, config: EndpointConfig) -> list[Variant]:
    """The variants of a configuration as they start: with their initial weights and instance counts."""
    return [
        Variant(
            name=variant["VariantName"],
            images=_images(region, variant),
            weight=variant.get("InitialVariantWeight", 1.0),
            instance_count=variant.get("InitialInstanceCount", 0),
            desired_weight=variant.get("InitialVariantWeight", 1.0),
            desired_instance_count=variant.get("InitialInstanceCount", 0),
        )
        for variant in config.variants
    ]


def instance_types(config: EndpointConfig) -> dict[str, str]:
    """The instance types of the variants that have one, by name."""
    return {v["VariantName"]: v["InstanceType"] for v in config.variants if "InstanceType" in v}


def retain(variants: Sequence[Variant], running: Sequence[Variant], excluded: Collection[str]) -> None:
    """Give variants the live properties of the running ones of the same name (``RetainAllVariantProperties``)."""
    live = {variant.name: variant for variant in running}
    for variant in variants:
        if variant.name not in live:
            continue
        if "DesiredWeight" not in excluded:
            variant.weight = variant.desired_weight = live[variant.name].desired_weight
        if "DesiredInstanceCount" not in excluded:
            variant.instance_count = variant.desired_instance_count = live[variant.name].desired_instance_count


def spec(region: Region, endpoint: Endpoint, config: EndpointConfig, variants: Sequence[Variant]) -> EndpointSpec:
    """What to host; ``HostingError`` for what only SageMaker itself can."""
    for unsupported in ("AsyncInferenceConfig", "ShadowProductionVariants"):
        if config.request.get(unsupported):
            raise HostingError(f"mme-local does not host endpoints with {unsupported}")
    desired = {variant.name: variant for variant in variants}
    return EndpointSpec(
        name=endpoint.name,
        config_name=config.name,
        region=region.scope.region,
        variants=tuple(_variant_spec(region, variant, desired[variant["VariantName"]]) for variant in config.variants),
    )


def adjusted(spec: EndpointSpec, variants: Sequence[Variant]) -> EndpointSpec:
    """The same fleet with the desired weights and instance counts of the variants."""
    desired = {variant.name: variant for variant in variants}
    return replace(
        spec,
        variants=tuple(
            replace(v, weight=desired[v.name].desired_weight, instance_count=desired[v.name].desired_instance_count)
            for v in spec.variants
        ),
    )


def _variant_spec(region: Region, request: Mapping[str, Any], desired: Variant) -> VariantSpec:
    name = request["VariantName"]
    for unsupported in ("ServerlessConfig", "InstancePools"):
        if unsupported in request:
            raise HostingError(f"mme-local does not host variants with {unsupported}: {name}")
    if "ModelName" not in request:
        raise HostingError(f"mme-local does not host variants without a model (inference components): {name}")
    model = region.models.get(request["ModelName"])
    timeouts = {}
    if "ContainerStartupHealthCheckTimeoutInSeconds" in request:
        timeouts["startup_timeout"] = float(request["ContainerStartupHealthCheckTimeoutInSeconds"])
    return VariantSpec(
        name=name,
        containers=_container_specs(model, request["InstanceType"]),
        instance_type=request["InstanceType"],
        instance_count=desired.desired_instance_count,
        weight=desired.desired_weight,
        execution_role=model.request.get("ExecutionRoleArn"),
        network_isolation=model.request.get("EnableNetworkIsolation", False),
        direct=model.direct,
        **timeouts,
    )


def _container_specs(model: Model, instance_type: str) -> tuple[ContainerSpec, ...]:
    spec = partial(
        _container_spec,
        architecture="arm64" if _GRAVITON.match(instance_type) else "amd64",
        network_isolation=model.request.get("EnableNetworkIsolation", False),
    )
    containers = model.containers
    if len(containers) == 1:
        return (spec(containers[0]),)
    return tuple(
        spec(container, port=port) for container, port in zip(containers, count(_FIRST_PORT, SAFE_PORTS), strict=False)
    )


def _container_spec(container: Mapping[str, Any], **of_the_model: Any) -> ContainerSpec:
    caching = container.get("MultiModelConfig", {}).get("ModelCacheSetting", "Enabled")
    return ContainerSpec(
        image=container.get("Image", ""),
        multi_model=container.get("Mode") == "MultiModel",
        model_data_url=container.get("ModelDataUrl"),
        environment=dict(container.get("Environment", {})),
        model_cache=caching == "Enabled",
        hostname=container.get("ContainerHostname"),
        **of_the_model,
    )


def _images(region: Region, variant: Mapping[str, Any]) -> tuple[str, ...]:
    model: Model | None = region.models.get(variant["ModelName"]) if "ModelName" in variant else None
    return tuple(container["Image"] for container in model.containers if "Image" in container) if model else ()
