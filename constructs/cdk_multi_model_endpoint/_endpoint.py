"""The construct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import aws_cdk as cdk
import jsii
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from . import _validation as validate
from ._container import MultiModelContainer, PipelineContainer
from ._errors import raise_if_any
from ._image import BoundImage
from ._role import create_execution_role, grant_execution
from ._variant import Variant


@jsii.implements(iam.IGrantable)
class MultiModelEndpoint(Construct):
    """A SageMaker real-time endpoint that hosts any number of models behind one container.

    SageMaker loads a model of the container's store when a caller first names it in ``TargetModel``, keeps it in
    memory, and unloads the ones that are not used when memory runs short.

    Example:
        ```python
        store = ModelStore(self, "Models")
        resnet = store.add_model("resnet", "models/resnet")
        endpoint = MultiModelEndpoint(
            self,
            "Endpoint",
            container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
            instance_type="ml.m5.xlarge",
        )
        ```

    Args:
        container: The one container whose models are loaded on demand.
        preprocessors: Containers that see a request before it, in order: a serial inference pipeline.
        postprocessors: Containers that see its answer, in order. With the multi-model container there are at most 15.
        instance_type: The instances, such as ``ml.m5.xlarge``. Any CPU type, or a GPU type with a single GPU.
        initial_instance_count: How many to start with. Two span two Availability Zones; with one, a warning.
        variant_name: The production variant's name, at most 63 letters, digits and inner hyphens.
        initial_variant_weight: The variant's share of the traffic, relative to other variants.
        volume_size: The storage volume of each instance, 1 to 512 GiB. Left out, SageMaker chooses. Instance types with
            local NVMe storage get no volume.
        model_data_download_timeout: How long a download may take, 60 to 3,600 seconds.
        container_startup_health_check_timeout: How long a container may take to become healthy, 60 to 3,600 seconds.
            Left out, four minutes.
        role: The execution role. Left out, one is made that may pull these images, read these models, and write this
            endpoint's logs and metrics. A given role gets the same permissions where it can be changed, and a warning
            is added where it can't.
        network_isolation: Cut the containers off from the network. SageMaker itself still downloads the models.
        endpoint_name: The endpoint's name, at most 63 letters, digits and inner hyphens. Left out, one is made from the
            construct's path, in lower case; moving the construct or renaming the stack then changes the name, which
            replaces the endpoint: give the present name before you do so.

    Raises:
        InvalidEndpointError: If SageMaker would refuse the arguments; it lists all that is wrong.

    https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoints.html

    Attributes:
        endpoint_name: What to pass as ``EndpointName``; a literal, so that other stacks can use it freely.
        endpoint_arn: The endpoint's ARN, in lower case as SageMaker has it.
        role: The execution role.
        model: The ``AWS::SageMaker::Model``, for escape hatches.
        endpoint_config: The ``AWS::SageMaker::EndpointConfig``.
        endpoint: The ``AWS::SageMaker::Endpoint``.
    """

    endpoint_name: str
    endpoint_arn: str
    role: iam.IRole
    model: sagemaker.CfnModel
    endpoint_config: sagemaker.CfnEndpointConfig
    endpoint: sagemaker.CfnEndpoint

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        container: MultiModelContainer,
        preprocessors: Sequence[PipelineContainer] = (),
        postprocessors: Sequence[PipelineContainer] = (),
        instance_type: str,
        initial_instance_count: int = 2,
        variant_name: str = "AllTraffic",
        initial_variant_weight: float = 1,
        volume_size: cdk.Size | None = None,
        model_data_download_timeout: cdk.Duration | None = None,
        container_startup_health_check_timeout: cdk.Duration | None = None,
        role: iam.IRole | None = None,
        network_isolation: bool = False,
        endpoint_name: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        containers: list[MultiModelContainer | PipelineContainer] = [*preprocessors, container, *postprocessors]
        variant = Variant(
            variant_name=variant_name,
            instance_type=instance_type,
            initial_instance_count=initial_instance_count,
            initial_variant_weight=initial_variant_weight,
            volume_size=volume_size,
            model_data_download_timeout=model_data_download_timeout,
            container_startup_health_check_timeout=container_startup_health_check_timeout,
        )
        raise_if_any(
            self,
            [
                *validate.name("endpoint_name", endpoint_name),
                *_container_problems(containers),
                *variant.problems(container.image),
            ],
        )
        for warning_id, message in variant.warnings(container.image):
            cdk.Annotations.of(self).add_warning_v2(f"cdk-multi-model-endpoint:{warning_id}", message)

        self.endpoint_name = self._generate_name() if endpoint_name is None else endpoint_name
        self.endpoint_arn = cdk.Stack.of(self).format_arn(
            service="sagemaker", resource="endpoint", resource_name=self.endpoint_name.lower()
        )
        self.role = create_execution_role(self) if role is None else role
        self.model = self._create_model(containers, network_isolation)
        self.endpoint_config = sagemaker.CfnEndpointConfig(
            self, "EndpointConfig", production_variants=[variant.render(self.model)]
        )
        self.endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_config_name=self.endpoint_config.attr_endpoint_config_name,
            endpoint_name=self.endpoint_name,
        )

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """The execution role: what ``bucket.grant_read(endpoint)`` grants to."""
        return self.role

    def _generate_name(self) -> str:
        # Always a name: EndpointName is the endpoint's only create-only property, so that naming an endpoint later
        # would replace it. Lower case, because SageMaker's ARNs are.
        return cdk.Names.unique_resource_name(self, max_length=validate.NAME_MAX, separator="-").lower()

    def _create_model(
        self, containers: Sequence[MultiModelContainer | PipelineContainer], network_isolation: bool
    ) -> sagemaker.CfnModel:
        images = [container.image.bind(self) for container in containers]
        stores = [container.model_store for container in containers if isinstance(container, MultiModelContainer)]
        permissions = grant_execution(
            self,
            self.role,
            endpoint_name=self.endpoint_name,
            repository_arns=[image.repository_arn for image in images],
            model_stores=stores,
            model_data_urls=[
                container.model_data_url
                for container in containers
                if isinstance(container, PipelineContainer) and container.model_data_url is not None
            ],
        )
        model = sagemaker.CfnModel(
            self,
            "Model",
            containers=[_render(container, image) for container, image in zip(containers, images, strict=True)],
            enable_network_isolation=network_isolation or None,
            execution_role_arn=self.role.role_arn,
        )
        # CreateModel checks that the role may read the images and the models, and that there is a model
        model.node.add_dependency(*permissions, *(store.first_upload for store in stores))
        return model


def _container_problems(containers: Sequence[MultiModelContainer | PipelineContainer]) -> Iterator[str]:
    for container in containers:
        yield from validate.environment("environment", container.environment)
        yield from validate.name("container_hostname", container.container_hostname)
        if isinstance(container, PipelineContainer):
            yield from validate.object_url("model_data_url", container.model_data_url)
    yield from validate.environments("environment", [container.environment for container in containers])
    yield from validate.pipeline([container.container_hostname for container in containers])
    if sum(isinstance(container, MultiModelContainer) for container in containers) > 1:
        yield "preprocessors and postprocessors must be PipelineContainers: SageMaker allows one multi-model container"


def _render(
    container: MultiModelContainer | PipelineContainer, image: BoundImage
) -> sagemaker.CfnModel.ContainerDefinitionProperty:
    if isinstance(container, PipelineContainer):
        return sagemaker.CfnModel.ContainerDefinitionProperty(
            image=image.uri,
            model_data_url=container.model_data_url,
            environment=container.environment or None,
            container_hostname=container.container_hostname,
        )
    return sagemaker.CfnModel.ContainerDefinitionProperty(
        image=image.uri,
        mode="MultiModel",
        model_data_url=container.model_store.url,
        multi_model_config=sagemaker.CfnModel.MultiModelConfigProperty(
            model_cache_setting="Enabled" if container.model_cache else "Disabled"
        ),
        environment=container.environment or None,
        container_hostname=container.container_hostname,
    )
