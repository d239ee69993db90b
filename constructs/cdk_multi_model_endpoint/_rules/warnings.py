"""What AWS advises against, or does not document: warnings, each with an id to acknowledge it by.

Like the checks of ``_validation``: pure functions on plain values, which leave tokens to CloudFormation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from multi_model_endpoint.artifacts.findings import Advice
from multi_model_endpoint.instances import instance_types

from .checks import known_instance_type
from .tokens import is_token

_AMI_VERSIONS = (
    "al2-ami-sagemaker-inference-gpu-2",
    "al2-ami-sagemaker-inference-gpu-2-1",
    "al2-ami-sagemaker-inference-gpu-3-1",
    "al2023-ami-sagemaker-inference-gpu-4-1",
    "al2-ami-sagemaker-inference-neuron-2",
)
"""Those for GPUs with the oldest driver first."""
_TRITON_GPU_RELEASE = re.compile(r"sagemaker-tritonserver:(\d\d\.\d\d)-py3$")
_CUDA_TAG = re.compile(r":[^:/]*-cu(\d{3})(-|$)")
# CUDA, from which release of Triton on it is in (NVIDIA's release notes), and the host whose driver fits, newest first
_CUDA_HOSTS = (
    (130, "25.08", "al2023-ami-sagemaker-inference-gpu-4-1"),
    (128, "25.01", "al2-ami-sagemaker-inference-gpu-3-1"),
)


def instance_count(argument: str, value: int) -> Iterator[Advice]:
    """A warning, with its id, about an endpoint in a single Availability Zone."""
    if value == 1:
        yield Advice(
            "singleInstance",
            f"{argument} is 1: the endpoint lives in one Availability Zone; AWS advises at least 2 instances",
        )


def instance_type(argument: str, value: str) -> Iterator[Advice]:
    """Warnings, with their ids, about instance types outside AWS's documented list."""
    if is_token(value):
        return
    known = instance_types().get(value)
    if known is None:
        yield Advice(
            "unknownInstanceType",
            f"{argument} {value!r} is not a SageMaker endpoint instance type that this library knows; "
            "it may be newer than the library, or misspelt",
        )
    elif known.multi_model == "gpu-multi":
        yield Advice(
            "multiGpuInstanceType",
            f"{argument} {value!r} has {known.gpus} GPUs; AWS documents multi-model endpoints for instance types with "
            "a single GPU only",
        )
    elif known.multi_model == "gpu-single-undocumented":
        yield Advice(
            "undocumentedGpuInstanceType",
            f"{argument} {value!r} is not among the GPU instance types that AWS documents for multi-model endpoints "
            "(p2, p3, g4dn, g5 with one GPU)",
        )


def deployment(strategy: str) -> Iterator[Advice]:
    """A warning, with its id, about policies on which AWS's pages disagree."""
    if strategy != "all_at_once":
        yield Advice(
            "deploymentPolicyUndocumented",
            f"deployment is {strategy}: AWS's page on deployment guardrails does not exclude multi-model endpoints, "
            "but its feature matrix does not list them either; try an update before you rely on it",
        )


def gpu_image(argument: str, value: str, family: str | None) -> Iterator[Advice]:
    """A warning, with its id, about an image other than Triton on a GPU."""
    known = known_instance_type(value)
    if known is not None and known.gpus and family != "sagemaker-tritonserver":
        yield Advice(
            "gpuImageNotTriton",
            f"{argument} {value!r} has a GPU, and NVIDIA Triton is the only image that AWS documents for multi-model "
            "endpoints on GPUs: InferenceImage.triton",
        )


def image_label(family: str | None, multi_model: bool | None) -> Iterator[Advice]:
    """A warning, with its id, about an image of AWS's that cannot serve several models."""
    if multi_model is False:
        yield Advice(
            "imageNotMultiModel",
            f"image is one of {family or 'AWS'} without the label com.amazonaws.sagemaker.capabilities.multi-models="
            "true, as far as is known: SageMaker refuses the model; take its CPU image, another version, or "
            "InferenceImage.triton for GPUs",
        )


def unknown_image(name: str) -> Iterator[Advice]:
    """A warning, with its id, about an image of AWS's that is not in our table."""
    yield Advice(
        "unknownImage",
        f"image {name} is not one of AWS's that this library knows; it may be newer than the library, or misspelt",
    )


def image_past_end_of_patch(name: str, end_of_patch: str | None) -> Iterator[Advice]:
    """A warning, with its id, about an image that AWS no longer patches."""
    if end_of_patch is not None and today().isoformat() > end_of_patch:
        yield Advice(
            "imagePastEndOfPatch",
            f"image {name} gets no security patches: AWS ended them by {end_of_patch}; take a newer version",
        )


def today() -> date:
    """The day that ends of patch are compared with."""
    return datetime.now(UTC).date()


def inference_ami_version(value: str | None, instance_type: str, image_uri: str) -> Iterator[Advice]:
    """A warning, with its id, about a host image that is unknown, or too old for the container's CUDA."""
    if value is not None and not is_token(value) and value not in _AMI_VERSIONS:
        yield Advice(
            "unknownInferenceAmiVersion",
            f"inference_ami_version {value!r} is not one that this library knows ({', '.join(_AMI_VERSIONS)}); "
            "it may be newer than the library, or misspelt",
        )
    known = known_instance_type(instance_type)
    if known is None or not known.gpus:
        return
    triton, tagged = _TRITON_GPU_RELEASE.search(image_uri), _CUDA_TAG.search(image_uri)
    for cuda, release, host in _CUDA_HOSTS:
        if (triton and triton[1] >= release) or (tagged and int(tagged[1]) >= cuda):
            if value is None or value in _AMI_VERSIONS[: _AMI_VERSIONS.index(host)]:
                yield Advice(
                    "inferenceAmiVersionNeeded",
                    f"inference_ami_version is {value or 'not given'}, and that host may have too old a driver for "
                    f"{image_uri.rpartition('/')[2]}, which has CUDA {cuda / 10} or newer: take {host!r}",
                )
            return


def model_size(size: int, instance_type: str) -> Iterator[Advice]:
    """A warning, with its id, about a model that an instance can't hold."""
    known = known_instance_type(instance_type)
    if known is not None and known.memory_mib is not None and size > known.memory_mib * 1024**2:
        yield Advice(
            "modelLargerThanMemory",
            f"the model has {size / 1024**3:.1f} GiB of files, and instance_type {instance_type!r} has "
            f"{known.memory_mib / 1024:.0f} GiB of memory: SageMaker can't load it there",
        )


def routing_strategy(value: str) -> Iterator[Advice]:
    """A warning, with its id, about routing that AWS does not document here."""
    yield Advice(
        "routingStrategyUndocumented",
        f"routing_strategy is {value}: AWS does not say how it goes together with the routing of multi-model "
        "endpoints, which prefers the instance that holds the model",
    )


def data_capture() -> Iterator[Advice]:
    """A warning, with its id, about data capture."""
    yield Advice(
        "dataCaptureUndocumented",
        "data_capture is given: AWS's feature matrix does not list it for multi-model endpoints, and Model Monitor is "
        "for endpoints with a single model only",
    )


def volume(argument: str, value: str) -> Iterator[Advice]:
    """A warning, with its id, about a volume size where no volume is attached."""
    known = known_instance_type(value)
    if known is not None and known.local_storage:
        yield Advice(
            "volumeSizeOnLocalStorage",
            f"volume_size has no effect with {argument} {value!r}: it has local NVMe storage, and SageMaker attaches "
            "no volume",
        )


def models_left() -> Iterator[Advice]:
    """A warning, with its id, about a bucket that S3 will not delete."""
    yield Advice(
        "bucketNotEmptied",
        "removal_policy is DESTROY: S3 deletes no bucket with models in it, and the stack's deletion fails; give "
        "auto_delete_objects=True, or empty the bucket, with all versions, before",
    )
