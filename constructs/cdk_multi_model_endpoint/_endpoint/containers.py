"""The containers of an endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from cdk_multi_model_endpoint._images.image import InferenceImage
from cdk_multi_model_endpoint._models.served import PROGRAM
from cdk_multi_model_endpoint._models.store import ModelStore
from cdk_multi_model_endpoint._rules.kinds import checked_fields


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
        source_directory: A folder with code for all models, for images in script mode: scikit-learn's, which does not
            start without, and XGBoost's, which then does not load models by itself. It is packed, uploaded with the
            deployment under a name by its content, and downloaded by the container when it starts: the execution role
            may read it, a VPC needs a way to S3, and ``network_isolation`` rules it out. A ``requirements.txt`` in it
            is installed then. Left out, no code.
        entry_point: The program in that folder, such as ``inference.py``, with a ``model_fn``. Together they set
            ``SAGEMAKER_SUBMIT_DIRECTORY`` and ``SAGEMAKER_PROGRAM``.

    https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-caching.html
    """

    image: InferenceImage
    model_store: ModelStore
    model_cache: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    container_hostname: str | None = None
    source_directory: str | os.PathLike[str] | None = None
    entry_point: str | None = None

    _refused_as: ClassVar = ("PipelineContainer",)  # by the rule severalMultiModelContainers, which says more

    def _tell_store(self, instance_type: str) -> None:
        """Tell the store what serves its models: this container, on these instances."""
        program = {} if self.entry_point is None else {PROGRAM: self.entry_point}
        self.model_store._serve(self.image.family, {**self.environment, **program}, instance_type)


@checked_fields
@dataclass(frozen=True, kw_only=True)
class PipelineContainer:
    """A container before or after the multi-model one, with at most one model of its own.

    Args:
        image: Its image. In a pipeline an image must also carry the label
            ``com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true``.
        model_data_url: Its model's artifact, ``s3://bucket/key.tar.gz``. The execution role may read that object alone;
            where the bucket has a KMS key, grant its use to ``endpoint.role``. Left out, the image needs no model.
        environment: As for ``MultiModelContainer``. Scikit-learn's image needs ``SAGEMAKER_PROGRAM`` and
            ``SAGEMAKER_SUBMIT_DIRECTORY``: ``/opt/ml/model/code`` is the folder ``code`` of the model's artifact.
        container_hostname: As for ``MultiModelContainer``.

    https://docs.aws.amazon.com/sagemaker/latest/dg/inference-pipelines.html
    """

    image: InferenceImage
    model_data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    container_hostname: str | None = None
