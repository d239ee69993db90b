"""What SageMaker refuses although the service model allows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mme_local.sagemaker.errors import ValidationError
from mme_local.sagemaker.records import Model

_ACCELERATOR_FAMILIES = frozenset({"inf1", "inf2", "trn1", "trn1n", "trn2", "dl1"})
"""Neither CPUs nor GPUs: no server for many models runs on them."""
# fmt: off
_NVME_FAMILIES = frozenset({
    "c5d", "c6gd", "m5d", "m6gd", "r5d", "r6gd", "r7gd", "g4dn", "g5", "g6", "g6e", "g7e",
    "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300", "trn1", "trn1n", "trn2", "dl1",
})
# fmt: on
"""With local storage that encrypts itself, where a key of the user's is refused."""
_ENVIRONMENT_BYTES = 32 * 1024


def check_model(request: Mapping[str, Any]) -> None:
    """The rules of CreateModel about its containers."""
    primary, containers = request.get("PrimaryContainer"), request.get("Containers")
    if primary and containers:
        raise ValidationError("Only one of PrimaryContainer and Containers can be specified.")
    if not primary and not containers:
        raise ValidationError("One of PrimaryContainer and Containers must be specified.")
    pipeline: Sequence[Mapping[str, Any]] = containers or [primary or {}]
    for container in pipeline:
        _check_container(container)
    multi_model = [container for container in pipeline if container.get("Mode") == "MultiModel"]
    if len(multi_model) > 1:
        raise ValidationError("More than one container in MultiModel mode is not supported with inference pipeline.")
    _check_hostnames(pipeline, request.get("InferenceExecutionConfig", {}).get("Mode", "Serial"))
    size = sum(
        len(key.encode()) + len(value.encode())
        for container in pipeline
        for key, value in container.get("Environment", {}).items()
    )
    if size > _ENVIRONMENT_BYTES:
        raise ValidationError(
            f"The environments of all containers together must not exceed {_ENVIRONMENT_BYTES} bytes, got {size}."
        )


def _check_container(container: Mapping[str, Any]) -> None:
    if "Image" not in container and "ModelPackageName" not in container:
        raise ValidationError("A container must specify an Image or a ModelPackageName.")
    if container.get("Mode") != "MultiModel":
        return
    if "ModelDataSource" in container:
        raise ValidationError("ModelDataSource is not supported for a container in MultiModel mode; use ModelDataUrl.")
    url = container.get("ModelDataUrl")
    if url is None:
        raise ValidationError("A container in MultiModel mode must specify a ModelDataUrl.")
    if url.endswith(".tar.gz"):
        raise ValidationError(
            f"The ModelDataUrl of a container in MultiModel mode must be a prefix, not one archive: {url}"
        )


def _check_hostnames(pipeline: Sequence[Mapping[str, Any]], mode: str) -> None:
    hostnames = [container["ContainerHostname"] for container in pipeline if "ContainerHostname" in container]
    needed = mode == "Direct" or hostnames
    if needed and len(hostnames) < len(pipeline):
        raise ValidationError(
            "Every container must specify a ContainerHostname when one does or when the execution mode is Direct."
        )
    if repeated := _repeated(hostnames):
        raise ValidationError(f"The ContainerHostname of every container must be unique, got {repeated} twice.")


def check_config(request: Mapping[str, Any], find_model: Callable[[str], Model]) -> None:
    """The rules of CreateEndpointConfig about its variants."""
    variants = request["ProductionVariants"]
    shadows = request.get("ShadowProductionVariants", [])
    if repeated := _repeated([variant["VariantName"] for variant in (*variants, *shadows)]):
        raise ValidationError(f"The VariantName of every production variant must be unique, got {repeated} twice.")
    for variant in (*variants, *shadows):
        _check_variant(variant, request, find_model)


def _check_variant(variant: Mapping[str, Any], request: Mapping[str, Any], find_model: Callable[[str], Model]) -> None:
    name = variant["VariantName"]
    instance_type = variant.get("InstanceType")
    serverless = "ServerlessConfig" in variant
    if not serverless and "InstancePools" not in variant and instance_type is None:
        raise ValidationError(f"Production variant {name} must specify an InstanceType or a ServerlessConfig.")
    if serverless and (instance_type is not None or "InitialInstanceCount" in variant):
        raise ValidationError(f"Production variant {name} cannot have a ServerlessConfig and instances.")
    if instance_type is not None and "InitialInstanceCount" not in variant:
        raise ValidationError(f"Production variant {name} must specify an InitialInstanceCount.")
    family = instance_type.split(".")[1] if instance_type else ""
    if "KmsKeyId" in request and family in _NVME_FAMILIES:
        raise ValidationError(
            f"KmsKeyId is not supported for instance type {instance_type}, which encrypts its local storage itself."
        )
    if "ModelName" in variant and find_model(variant["ModelName"]).multi_model:
        for setting, present in (
            ("ServerlessConfig", serverless),
            ("AcceleratorType", "AcceleratorType" in variant),
            ("AsyncInferenceConfig", "AsyncInferenceConfig" in request),
        ):
            if present:
                raise ValidationError(f"MultiModel mode is not supported with {setting}.")
        if family in _ACCELERATOR_FAMILIES:
            raise ValidationError(f"MultiModel mode is not supported for instance type {instance_type}.")


def check_deployment(config: Mapping[str, Any], old_variants: Sequence[str], new_variants: Sequence[str]) -> None:
    """The rules of deployment guardrails; without old variants only those about the policy itself."""
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise ValidationError("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified.")
    if rolling and len(new_variants) > 1:
        raise ValidationError("RollingUpdatePolicy is not supported for endpoints with more than one variant.")
    if blue_green:
        routing = blue_green["TrafficRoutingConfiguration"]
        size = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(routing["Type"])
        if size is not None and size not in routing:
            raise ValidationError(f"Traffic routing of type {routing['Type']} must specify a {size}.")
    if (blue_green or rolling) and old_variants and sorted(old_variants) != sorted(new_variants):
        raise ValidationError(
            "A deployment configuration needs the same variant names in the old and the new endpoint configuration,"
            f" got {', '.join(old_variants)} and {', '.join(new_variants)}."
        )


def check_scaled(scaled: Collection[str], running: Mapping[str, str], new: Mapping[str, str | None]) -> None:
    """The rule about scalable targets; both mappings are from the variants' names to their instance types."""
    held = sorted(name for name in scaled if name in running and new.get(name) != running[name])
    if held:
        names = ", ".join(f'"{name}"' for name in held)
        raise ValidationError(
            f"The variant(s) {names} must be deregistered as a scalable target with AWS Auto Scaling before they can be"
            " removed or have their instance type modified."
        )


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
