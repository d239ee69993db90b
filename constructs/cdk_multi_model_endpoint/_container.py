"""The containers of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._image import InferenceImage
from ._kinds import checked_fields
from ._store import ModelStore


@checked_fields
@dataclass(frozen=True, kw_only=True)
class MultiModelContainer:
    """The container that serves the models of a store.

    Args:
        image: The model server.
        model_store: Where its models lie.
        model_cache: Whether models stay loaded after a call. Turn it off for very many models that are each called
            about once: SageMaker then unloads and deletes a model after every call, and loads more of them at a time.
        environment: Variables of the container: at most 100, names and values of at most 1,024 characters, 32 KB for
            all containers of an endpoint together. ``SAGEMAKER_MULTI_MODEL`` is set by SageMaker and refused here.
        container_hostname: A name for the container, at most 63 characters. In a pipeline all have one, or none has;
            SageMaker then publishes metrics by ``ContainerName``.

    Raises:
        InvalidEndpointError: If a model of the store is not laid out as the image's framework loads it. Models that are
            added later are checked then.

    https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-caching.html
    """

    image: InferenceImage
    model_store: ModelStore
    model_cache: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    container_hostname: str | None = None

    def __post_init__(self) -> None:
        self.model_store.expect(self.image.family, self.environment)


@checked_fields
@dataclass(frozen=True, kw_only=True)
class PipelineContainer:
    """A container before or after the multi-model one, with at most one model of its own.

    Args:
        image: Its image. In a pipeline an image must also carry the label
            ``com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true``.
        model_data_url: Its model's artifact, ``s3://bucket/key.tar.gz``. The execution role may read that object alone;
            where the bucket has a KMS key, grant its use to ``endpoint.role``. Left out, the image needs no model.
        environment: As for ``MultiModelContainer``.
        container_hostname: As for ``MultiModelContainer``.

    https://docs.aws.amazon.com/sagemaker/latest/dg/inference-pipelines.html
    """

    image: InferenceImage
    model_data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    container_hostname: str | None = None
