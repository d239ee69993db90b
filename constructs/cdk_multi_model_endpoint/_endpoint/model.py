"""The containers of a model, checked and rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import aws_sagemaker as sagemaker

from cdk_multi_model_endpoint._images.sources import BoundImage
from cdk_multi_model_endpoint._rules import checks as validate

from .containers import MultiModelContainer, PipelineContainer
from .script_mode import script_environment, script_problems

Container = MultiModelContainer | PipelineContainer


def container_problems(containers: Sequence[Container], network_isolation: bool) -> Iterator[str]:
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
        yield "preprocessors and postprocessors must be PipelineContainers: SageMaker allows one multi-model container"


def image_problems(images: Sequence[BoundImage], in_vpc: bool) -> Iterator[str]:
    """Whether the images can be pulled from where the endpoint is."""
    for image in images:
        if image.repository_arn is None and not in_vpc:
            yield f"image {image.uri} is in a private registry, which needs a vpc: give one that reaches it"


def render_container(
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
