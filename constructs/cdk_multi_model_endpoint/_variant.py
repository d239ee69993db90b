"""A production variant: the instances that host a model, and their share of the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker

from . import _validation as validate
from ._image import InferenceImage


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What the endpoint's arguments say of one variant; they are documented there."""

    variant_name: str
    instance_type: str
    initial_instance_count: int
    initial_variant_weight: float
    volume_size: cdk.Size | None
    model_data_download_timeout: cdk.Duration | None
    container_startup_health_check_timeout: cdk.Duration | None

    def problems(self, image: InferenceImage) -> Iterator[str]:
        """What SageMaker would refuse."""
        yield from validate.name("variant_name", self.variant_name)
        yield from validate.instance_type("instance_type", self.instance_type)
        yield from validate.architecture("instance_type", self.instance_type, image.architecture)
        yield from validate.at_least("initial_instance_count", self.initial_instance_count, 1)
        yield from validate.at_least("initial_variant_weight", self.initial_variant_weight, 0)
        yield from validate.within("volume_size", _gibibytes(self.volume_size), 1, 512, "GiB")
        for argument in ("model_data_download_timeout", "container_startup_health_check_timeout"):
            yield from validate.within(argument, _seconds(getattr(self, argument)), 60, 3600, "seconds")

    def warnings(self, image: InferenceImage) -> Iterator[tuple[str, str]]:
        """What AWS advises against, with the ids to acknowledge it by."""
        yield from validate.instance_count_warnings("initial_instance_count", self.initial_instance_count)
        yield from validate.instance_type_warnings("instance_type", self.instance_type)
        yield from validate.gpu_image_warnings("instance_type", self.instance_type, image.family)
        if self.volume_size is not None:
            yield from validate.volume_warnings("instance_type", self.instance_type)

    def render(self, model: sagemaker.CfnModel) -> sagemaker.CfnEndpointConfig.ProductionVariantProperty:
        """The variant as the endpoint configuration has it."""
        return sagemaker.CfnEndpointConfig.ProductionVariantProperty(
            variant_name=self.variant_name,
            model_name=model.attr_model_name,
            instance_type=self.instance_type,
            initial_instance_count=self.initial_instance_count,
            initial_variant_weight=self.initial_variant_weight,
            volume_size_in_gb=_gibibytes(self.volume_size),
            model_data_download_timeout_in_seconds=_seconds(self.model_data_download_timeout),
            container_startup_health_check_timeout_in_seconds=_seconds(self.container_startup_health_check_timeout),
        )


def _gibibytes(size: cdk.Size | None) -> float | None:
    return None if size is None else size.to_gibibytes()


def _seconds(duration: cdk.Duration | None) -> float | None:
    return None if duration is None else duration.to_seconds()
