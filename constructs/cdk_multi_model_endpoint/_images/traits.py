"""What is known of an image from its repository and tag."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from cdk_multi_model_endpoint._rules.tables import Architecture, AwsImage, aws_images

TRITON = "sagemaker-tritonserver"
_ARM64 = re.compile(r"(^|[-.])(arm64|aarch64|graviton)([-.]|$)")
_GPU = re.compile(r"(^|-)(gpu|cu\d{2,3})(-|$)")
_PROCESSOR = re.compile(r"-(cpu|gpu|arm64)(-|$)")
_CPU = re.compile(r"(^|-)cpu(-|$)")


@dataclass(frozen=True)
class ImageTraits:
    """What an image is; None where that is not known. See ``InferenceImage``."""

    family: str | None = None
    gpu: bool | None = None
    architecture: Architecture | None = None
    multi_model: bool | None = None


@cache
def published_image(repository: str, tag: str) -> AwsImage | None:
    """The image of that name in our table.

    A tag of the table may go on, as ``2.6.0-cpu-py312-ubuntu22.04-sagemaker`` does after ``2.6.0-cpu-py312``; but
    ``26.05-py3-cpu`` is not ``26.05-py3``.
    """
    same = [
        image
        for image in aws_images()
        if image.repository == repository
        and f"{tag}-".startswith(f"{image.tag}-")
        and not _PROCESSOR.search(tag.removeprefix(image.tag))
    ]
    return max(same, key=lambda image: len(image.tag)) if same else None


def traits_of_published(image: AwsImage) -> ImageTraits:
    """What is known of an image in our table."""
    return ImageTraits(image.family, image.gpu, image.architecture, image.multi_model)


def traits_of_aws(repository: str, tag: str) -> ImageTraits:
    """What is known of an image of AWS's, which may be newer than our table."""
    siblings = [image for image in aws_images() if image.repository == repository]
    if (published := published_image(repository, tag)) is not None:
        traits = traits_of_published(published)
        for_ec2 = tag.endswith("-ec2")  # these images have no SageMaker entry point
        return ImageTraits(traits.family, traits.gpu, traits.architecture, False) if for_ec2 else traits
    if repository == TRITON:
        return traits_of_triton(tag)
    architecture: Architecture | None = "x86_64" if siblings else None
    if _ARM64.search(repository) or _ARM64.search(tag):
        architecture = "arm64"
    gpu = True if _GPU.search(tag) else False if _CPU.search(tag) else None
    return ImageTraits(siblings[0].family if siblings else None, gpu, architecture)


def traits_of_any(repository: str, tag: str) -> ImageTraits:
    """What is known of an image in somebody's own repository: no more than that it is called as Triton is."""
    return traits_of_triton(tag) if repository.endswith(TRITON) else ImageTraits()


def traits_of_triton(tag: str) -> ImageTraits:
    """What is known of a Triton image by its tag."""
    return ImageTraits(TRITON, gpu=None if tag.startswith("sha256:") else not tag.endswith("-cpu"))
