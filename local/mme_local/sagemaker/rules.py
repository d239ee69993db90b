"""What SageMaker refuses although the service model allows it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mme_local.sagemaker.errors import ValidationError
from mme_local.sagemaker.records import Model

ACCELERATOR_FAMILIES = frozenset({"inf1", "inf2", "trn1", "trn1n", "trn2", "dl1"})
"""Neither CPUs nor GPUs: no server for many models runs on them."""
# fmt: off
NVME_FAMILIES = frozenset({
    "c5d", "c6gd", "m5d", "m6gd", "r5d", "r6gd", "r7gd", "g4dn", "g5", "g6", "g6e", "g7", "g7e",
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
    mode = request.get("InferenceExecutionConfig", {}).get("Mode", "Serial")
    if mode == "Direct" and len(pipeline) < 2:
        raise ValidationError("InferenceExecutionConfig with Mode Direct needs more than one container in Containers.")
    multi_model = [container for container in pipeline if container.get("Mode") == "MultiModel"]
    if len(multi_model) > 1:
        raise ValidationError("More than one container in MultiModel mode is not supported with inference pipeline.")
    _check_hostnames(pipeline, mode)
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
    if "KmsKeyId" in request and family in NVME_FAMILIES:
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
        if family in ACCELERATOR_FAMILIES:
            raise ValidationError(f"MultiModel mode is not supported for instance type {instance_type}.")


def check_deployment(config: Mapping[str, Any], old_variants: Sequence[str], counts: Mapping[str, int]) -> None:
    """The rules of deployment guardrails; without old variants only those about the policy itself.

    Args:
        config: The ``DeploymentConfig``.
        old_variants: The names of the variants that run.
        counts: The instances of the new variants, by name.
    """
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        raise ValidationError("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified.")
    if rolling and len(counts) > 1:
        raise ValidationError("RollingUpdatePolicy is not supported for endpoints with more than one variant.")
    alarms = [alarm.get("AlarmName") for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
    if repeated := _repeated(alarms):
        raise ValidationError(f"The alarms of an AutoRollbackConfiguration must be unique, got {repeated} twice.")
    if (blue_green or rolling) and old_variants and sorted(old_variants) != sorted(counts):
        raise ValidationError(
            "A deployment configuration needs the same variant names in the old and the new endpoint configuration,"
            f" got {', '.join(old_variants)} and {', '.join(counts)}."
        )
    if blue_green:
        _check_blue_green(blue_green, counts)
    if rolling:
        _check_size("MaximumBatchSize", rolling["MaximumBatchSize"], counts, 5, 50)
        if "RollbackMaximumBatchSize" in rolling:
            _check_size("RollbackMaximumBatchSize", rolling["RollbackMaximumBatchSize"], counts, 0, 100)
        _check_time_limit(rolling, rolling["WaitIntervalInSeconds"], rolling["MaximumBatchSize"], counts)


def _check_blue_green(policy: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    routing = policy["TrafficRoutingConfiguration"]
    kind = routing["Type"]
    sizes = {"CANARY": ("CanarySize", 0, 50), "LINEAR": ("LinearStepSize", 10, 50)}
    for other, (name, low, high) in sizes.items():
        if other == kind and name not in routing:
            raise ValidationError(f"Traffic routing of type {kind} must specify a {name}.")
        if other != kind and name in routing:
            raise ValidationError(f"Traffic routing of type {kind} cannot specify a {name}.")
        if name in routing:
            _check_size(name, routing[name], counts, low, high)
    _check_time_limit(policy, routing["WaitIntervalInSeconds"], routing.get("LinearStepSize"), counts)


def _check_size(name: str, size: Mapping[str, Any], counts: Mapping[str, int], low: int, high: int) -> None:
    if size["Type"] == "CAPACITY_PERCENT" and not low <= size["Value"] <= high:
        raise ValidationError(f"{name} must be {max(low, 1)} to {high} percent of the instances, got {size['Value']}.")
    for variant, count in counts.items():
        taken = instances_of(size, count)
        # a percentage is rounded down to whole instances, of which one at least is needed
        below = size["Type"] == "INSTANCE_COUNT" and taken * 100 < low * count
        if below or taken * 100 > high * count:
            raise ValidationError(
                f"{name} must be {max(low, 1)} to {high} percent of a variant's instances; a {size['Type']} of"
                f" {size['Value']} gives no such number of whole instances for variant {variant} with {count}."
            )


def _check_time_limit(
    policy: Mapping[str, Any], wait: int, step: Mapping[str, Any] | None, counts: Mapping[str, int]
) -> None:
    limit = policy.get("MaximumExecutionTimeoutInSeconds")
    steps = 2 if step is None else max(math.ceil(count / instances_of(step, count)) for count in counts.values())
    waits = (steps - 1) * wait + policy.get("TerminationWaitInSeconds", 0)
    if limit is not None and limit <= waits:
        raise ValidationError(
            f"MaximumExecutionTimeoutInSeconds must be larger than the waiting times of {waits} seconds, got {limit}."
        )


def instances_of(size: Mapping[str, Any], total: int) -> int:
    """A ``CapacitySize`` in whole instances, one at least."""
    return int(size["Value"]) if size["Type"] == "INSTANCE_COUNT" else max(1, total * int(size["Value"]) // 100)


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
