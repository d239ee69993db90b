"""The Models of an endpoint, each a pipeline of containers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk_multi_model_endpoint._images.image import InferenceImage
from cdk_multi_model_endpoint._images.sources import BoundImage
from cdk_multi_model_endpoint._models.bucket import bucket_problems, bucket_warnings
from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any, warn
from cdk_multi_model_endpoint._rules.places import place_of
from multi_model_endpoint.artifacts.findings import Problem

from .containers import MultiModelContainer, PipelineContainer
from .network import Network
from .role import ExecutionRole
from .script_mode import script_environment, script_problems, upload_code

Container = MultiModelContainer | PipelineContainer


class Pipeline:
    """What is the same in all Models of an endpoint: all but the multi-model container."""

    def __init__(
        self,
        scope: Construct,
        preprocessors: Sequence[PipelineContainer],
        postprocessors: Sequence[PipelineContainer],
        network_isolation: bool,
    ) -> None:
        self._scope = scope
        self._preprocessors = preprocessors
        self._postprocessors = postprocessors
        self._network_isolation = network_isolation
        self._bound: dict[InferenceImage, BoundImage] = {}

    def problems(self, container: MultiModelContainer) -> Iterator[Problem]:
        """What SageMaker would refuse of the Model with this container."""
        yield from _container_problems(self._around(container), self._network_isolation)
        place, store = place_of(self._scope), container.model_store
        if place_of(store) is not place:  # what is wrong for the store's own stack, it has said itself
            yield from bucket_problems(place, store.bucket, own=store.bucket.node.scope is store)

    def instance_problems(self, instance_type: str) -> Iterator[Problem]:
        """Whether the other containers' images run on these instances."""
        for kind, containers in (("preprocessor", self._preprocessors), ("postprocessor", self._postprocessors)):
            for container in containers:
                yield from validate.architecture(
                    "instance_type", instance_type, container.image.architecture, f"a {kind}'s image"
                )

    def bind(self, image: InferenceImage) -> BoundImage:
        """Bind an image to the endpoint, once."""
        if image not in self._bound:
            self._bound[image] = image.bind(self._scope)
            warn(self._scope, self._bound[image].warnings)
        return self._bound[image]

    def create_model(
        self, construct_id: str, container: MultiModelContainer, execution: ExecutionRole, network: Network | None
    ) -> sagemaker.CfnModel:
        """Make the Model with this container, and allow the role what it needs."""
        place, store = place_of(self._scope), container.model_store
        if place_of(store) is not place:
            warn(self._scope, bucket_warnings(place, store.bucket))
        containers = self._around(container)
        images = [self.bind(each.image) for each in containers]
        raise_if_any(self._scope, _image_problems(images, network is not None))
        urls = [
            each.model_data_url
            for each in containers
            if isinstance(each, PipelineContainer) and each.model_data_url is not None
        ]
        code_url = upload_code(self._scope, f"{construct_id}Code", container)
        if code_url is not None:
            urls.append(code_url)
        reading = execution.reading(images, store, urls)
        model = sagemaker.CfnModel(
            self._scope,
            construct_id,
            containers=[
                _render_container(each, image, code_url) for each, image in zip(containers, images, strict=True)
            ],
            enable_network_isolation=self._network_isolation or None,
            execution_role_arn=execution.role.role_arn,
            vpc_config=None if network is None else network.render(),
        )
        # CreateModel checks that the role may read the images and the models, and that there is a model
        model.node.add_dependency(*execution.permissions, *reading, store.first_upload)
        return model

    def _around(self, container: MultiModelContainer) -> list[Container]:
        return [*self._preprocessors, container, *self._postprocessors]


def _container_problems(containers: Sequence[Container], network_isolation: bool) -> Iterator[Problem]:
    """What SageMaker would refuse of a model's containers, in pipeline order."""
    for container in containers:
        yield from script_problems(container, network_isolation)
        yield from validate.environment("environment", container.environment)
        yield from validate.name("container_hostname", container.container_hostname)
        if isinstance(container, PipelineContainer):
            yield from validate.object_url("model_data_url", container.model_data_url)
    yield from validate.environments("environment", [container.environment for container in containers])
    yield from validate.pipeline([container.container_hostname for container in containers])
    if sum(isinstance(container, MultiModelContainer) for container in containers) > 1:
        yield Problem(
            "severalMultiModelContainers",
            "preprocessors and postprocessors must be PipelineContainers: SageMaker allows one multi-model container",
        )


def _image_problems(images: Sequence[BoundImage], in_vpc: bool) -> Iterator[Problem]:
    """Whether the images can be pulled from where the endpoint is."""
    for image in images:
        if image.repository_arn is None and not in_vpc:
            yield Problem(
                "privateRegistryWithoutVpc",
                f"image {image.uri} is in a private registry, which needs a vpc: give one that reaches it",
            )


def _render_container(
    container: Container, image: BoundImage, code_url: str | None
) -> sagemaker.CfnModel.ContainerDefinitionProperty:
    """A container as the model has it; ``code_url`` is that of the multi-model one."""
    if isinstance(container, PipelineContainer):
        return sagemaker.CfnModel.ContainerDefinitionProperty(
            image=image.uri,
            image_config=_render_image_config(image),
            model_data_url=container.model_data_url,
            environment={**container.environment} or None,
            container_hostname=container.container_hostname,
        )
    return sagemaker.CfnModel.ContainerDefinitionProperty(
        image=image.uri,
        image_config=_render_image_config(image),
        mode="MultiModel",
        model_data_url=container.model_store.url,
        multi_model_config=sagemaker.CfnModel.MultiModelConfigProperty(
            model_cache_setting="Enabled" if container.model_cache else "Disabled"
        ),
        environment=script_environment(container, code_url) or None,
        container_hostname=container.container_hostname,
    )


def _render_image_config(image: BoundImage) -> sagemaker.CfnModel.ImageConfigProperty | None:
    if image.repository_arn is not None:
        return None
    provider = image.credentials_provider
    return sagemaker.CfnModel.ImageConfigProperty(
        repository_access_mode="Vpc",
        repository_auth_config=None
        if provider is None
        else sagemaker.CfnModel.RepositoryAuthConfigProperty(repository_credentials_provider_arn=provider.function_arn),
    )
