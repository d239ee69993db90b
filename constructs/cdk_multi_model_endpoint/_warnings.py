"""What AWS advises against, or does not document: warnings, each with an id to acknowledge it by.

Like the checks of ``_validation``: pure functions on plain values, which leave tokens to CloudFormation.
"""

from __future__ import annotations

from collections.abc import Iterator

from ._tables import instance_types
from ._tokens import is_token
from ._validation import known_instance_type


def instance_count(argument: str, value: int) -> Iterator[tuple[str, str]]:
    """A warning, with its id, about an endpoint in a single Availability Zone."""
    if value == 1:
        yield (
            "singleInstance",
            f"{argument} is 1: the endpoint lives in one Availability Zone; AWS advises at least 2 instances",
        )


def instance_type(argument: str, value: str) -> Iterator[tuple[str, str]]:
    """Warnings, with their ids, about instance types outside AWS's documented list."""
    if is_token(value):
        return
    known = instance_types().get(value)
    if known is None:
        yield (
            "unknownInstanceType",
            f"{argument} {value!r} is not a SageMaker endpoint instance type that this library knows; "
            "it may be newer than the library, or misspelt",
        )
    elif known.multi_model == "gpu-multi":
        yield (
            "multiGpuInstanceType",
            f"{argument} {value!r} has {known.gpus} GPUs; AWS documents multi-model endpoints for instance types with "
            "a single GPU only",
        )
    elif known.multi_model == "gpu-single-undocumented":
        yield (
            "undocumentedGpuInstanceType",
            f"{argument} {value!r} is not among the GPU instance types that AWS documents for multi-model endpoints "
            "(p2, p3, g4dn, g5 with one GPU)",
        )


def deployment(strategy: str) -> Iterator[tuple[str, str]]:
    """A warning, with its id, about policies on which AWS's pages disagree."""
    if strategy != "all_at_once":
        yield (
            "deploymentPolicyUndocumented",
            f"deployment is {strategy}: AWS's page on deployment guardrails does not exclude multi-model endpoints, "
            "but its feature matrix does not list them either; try an update before you rely on it",
        )


def gpu_image(argument: str, value: str, family: str | None) -> Iterator[tuple[str, str]]:
    """A warning, with its id, about an image other than Triton on a GPU."""
    known = known_instance_type(value)
    if known is not None and known.gpus and family != "sagemaker-tritonserver":
        yield (
            "gpuImageNotTriton",
            f"{argument} {value!r} has a GPU, and NVIDIA Triton is the only image that AWS documents for multi-model "
            "endpoints on GPUs: InferenceImage.triton",
        )


def volume(argument: str, value: str) -> Iterator[tuple[str, str]]:
    """A warning, with its id, about a volume size where no volume is attached."""
    known = known_instance_type(value)
    if known is not None and known.local_storage:
        yield (
            "volumeSizeOnLocalStorage",
            f"volume_size has no effect with {argument} {value!r}: it has local NVMe storage, and SageMaker attaches "
            "no volume",
        )
