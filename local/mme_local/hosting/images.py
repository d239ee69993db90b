"""What SageMaker asks of images, and which of them are built here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

Labels = Callable[[str], Awaitable[Mapping[str, str] | None]]
"""Finds the labels of an image; None when they are not known."""

HasImage = Callable[[str], Awaitable[bool | None]]
"""Whether Docker has an image; None where it runs none."""

LOCAL_REGISTRY = "000000000000.dkr.ecr."
"""How the names of images in the local account begin: Docker has them under these names, and no registry does."""

_CAPABILITY = "com.amazonaws.sagemaker.capabilities."


def label_problem(image: str, labels: Mapping[str, str] | None, *, multi_model: bool, pipeline: bool) -> str | None:
    """What SageMaker says of an image that lacks a label that it needs; None when it has all, or is not known.

    https://docs.aws.amazon.com/sagemaker/latest/dg/build-multi-model-build-container.html
    """
    if labels is None:
        return None
    for capability, needed in (("multi-models", multi_model), ("accept-bind-to-port", pipeline)):
        label = _CAPABILITY + capability
        if needed and labels.get(label) != "true":
            return f"Your Ecr Image {image} does not contain required {label}=true Docker label(s)."
    return None
