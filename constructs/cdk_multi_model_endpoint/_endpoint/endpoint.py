"""The construct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Unpack

import aws_cdk as cdk
import jsii
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct, IValidation

from cdk_multi_model_endpoint._models.bucket import key_problems, place_problems
from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules import warnings as advise
from cdk_multi_model_endpoint._rules.errors import InvalidEndpointError, raise_if_any, warn
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._variants.capture import DataCapture
from cdk_multi_model_endpoint._variants.monitoring import AlarmThresholds, EndpointMonitoring
from cdk_multi_model_endpoint._variants.variant import ProductionVariant, Variant, VariantOptions
from multi_model_endpoint.artifacts.findings import Problem

from .containers import MultiModelContainer, PipelineContainer
from .deployment import DeploymentPolicy
from .imported import ImportedEndpoint, imported_by_arn
from .invocable import InvocableEndpoint, endpoint_arn
from .network import Network, check_network
from .pipeline import Pipeline
from .role import ExecutionRole, log_group_name
from .rollback import RollbackAlarms
from .warming import EndpointWarmUp, WarmUpCall


@jsii.implements(iam.IGrantable, ec2.IConnectable)
class MultiModelEndpoint(InvocableEndpoint):
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
        inference_ami_version: The host image of GPU instances. Its driver must fit the container's CUDA: CUDA 12.8 and
            Triton 25.01 need ``al2-ami-sagemaker-inference-gpu-3-1`` or newer, CUDA 13 and Triton 25.08
            ``al2023-ami-sagemaker-inference-gpu-4-1``. Left out, SageMaker's default.
        enable_ssm_access: Let AWS Systems Manager open a shell in the containers, for debugging.
        core_dump: Where to write core dumps of the containers.
        routing_strategy: How to choose an instance. Left out, SageMaker's own, which prefers one that holds the model.
        role: The execution role. Left out, one is made that may pull these images, read these models, and write this
            endpoint's logs and metrics. A given role, of the same account, gets the same permissions where it can be
            changed, and a warning is added where it can't. About ten endpoints fit into one role; more are an error.
        vpc: The VPC in which the containers run. The models are then downloaded through it, so it needs a way to S3,
            such as a gateway endpoint. Left out, they run in SageMaker's own network.
        vpc_subnets: Which subnets, 1 to 16. Left out, the private ones.
        security_groups: Up to 5. Left out, one is made; reach it by ``endpoint.connections``.
        allow_all_outbound: Whether the security group made here lets all traffic out. Left out, it does.
        network_isolation: Cut the containers off from the network. SageMaker itself still downloads the models, but not
            a container's ``source_directory``.
        encryption_key: A key for the instances' storage volumes, in place of SageMaker's own. Instance types with local
            NVMe storage refuse one: the hardware encrypts them.
        data_capture: Write requests and answers to S3.
        clarify_explainer: Explain predictions online with SageMaker Clarify.
        deployment: How updates reach the endpoint. Left out, all traffic moves at once when the new fleet is up.
        retain_variant_properties: Whether an update keeps the live instance counts; weights always follow the template.
            Left out, it does as soon as a variant is autoscaled; edits of ``initial_instance_count`` then change
            nothing.
        log_retention: How long to keep what the containers print: makes the log group that SageMaker would make. Left
            out, SageMaker makes it, without an end, and nobody deletes it. A group that is there already, since the
            endpoint ran before, fails the deployment: see docs/updates.md.
        log_removal_policy: What becomes of that log group when it leaves the stack. Left out, it stays, unless it
            was made by a deployment that failed. ``DESTROY`` deletes it.
        endpoint_name: The endpoint's name, at most 63 letters, digits and inner hyphens. Left out, one is made from the
            construct's path, in lower case. Moving the construct or renaming the stack then makes a new endpoint under
            a new name and deletes the old one; to keep it, keep this name and the Endpoint's logical id.

    Raises:
        InvalidEndpointError: If SageMaker would refuse the arguments; it lists all that is wrong. Also if a model of
            the store is not laid out as the image's framework loads it; models that are added later are checked then.

    https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-endpoints.html

    Attributes:
        endpoint_name: What to pass as ``EndpointName``; a literal, so that other stacks can use it freely.
        endpoint_arn: The endpoint's ARN.
        role: The execution role.
        variants: The production variants, in the order of their making.
        default_variant: The first of them.
        log_group: The log group, for metric filters and subscriptions; None without ``log_retention``.
        model_policies: The policies by which the role reads images and models, for findings of cdk-nag.
        rollback_policy: The policy by which it looks at rollback alarms.
        model: The ``AWS::SageMaker::Model``, for escape hatches.
        endpoint_config: The ``AWS::SageMaker::EndpointConfig``.
        endpoint: The ``AWS::SageMaker::Endpoint``.
    """

    role: iam.IRole
    model: sagemaker.CfnModel
    endpoint_config: sagemaker.CfnEndpointConfig
    endpoint: sagemaker.CfnEndpoint
    log_group: logs.LogGroup | None

    @checked
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
        role: iam.IRole | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        allow_all_outbound: bool | None = None,
        network_isolation: bool = False,
        encryption_key: kms.IKey | None = None,
        data_capture: DataCapture | None = None,
        clarify_explainer: sagemaker.CfnEndpointConfig.ClarifyExplainerConfigProperty | None = None,
        deployment: DeploymentPolicy | None = None,
        retain_variant_properties: bool | None = None,
        log_retention: logs.RetentionDays | None = None,
        log_removal_policy: cdk.RemovalPolicy | None = None,
        endpoint_name: str | None = None,
        **options: Unpack[VariantOptions],
    ) -> None:
        super().__init__(scope, construct_id)
        variant = Variant(
            variant_name=variant_name,
            instance_type=instance_type,
            initial_instance_count=initial_instance_count,
            initial_variant_weight=initial_variant_weight,
            options=options,
        )
        self._container = container
        self._pipeline = Pipeline(self, preprocessors, postprocessors, network_isolation)
        self._encryption_key = encryption_key
        self._deployment = deployment
        self._retain_variant_properties = retain_variant_properties
        self._given: list[Variant] = []
        self._variants: list[ProductionVariant] = []
        raise_if_any(
            self,
            [
                *validate.name("endpoint_name", endpoint_name),
                *validate.log_group(log_retention, log_removal_policy),
                *check_network(vpc, vpc_subnets, security_groups, allow_all_outbound),
                *self._problems(variant, container),
                *(data_capture._problems(self._place) if data_capture is not None else []),
                *self._problems_of_place(role, vpc, encryption_key),
            ],
        )
        container._tell_store(instance_type)

        self.endpoint_name = self._generate_name() if endpoint_name is None else endpoint_name
        self.endpoint_arn = endpoint_arn(self._place, self.endpoint_name)
        self._network = self._create_network(vpc, vpc_subnets, security_groups, allow_all_outbound)
        self._execution = self._create_execution_role(role, data_capture)
        self.role = self._execution.role
        self.model = self._create_model("Model", container)
        self._properties = [variant.render(self.model)]
        self.endpoint_config = self._create_endpoint_config(encryption_key, data_capture, clarify_explainer)
        self.endpoint = self._create_endpoint(deployment)
        self.log_group = self._create_log_group(log_retention, log_removal_policy)
        self._rollback = RollbackAlarms(self, self.role if self._execution.mutable else None, self.endpoint)
        self._add(variant, container)
        if retain_variant_properties:
            self._retain_instance_counts()
        if deployment is not None:
            warn(self, advise.deployment(deployment._kind))
        if data_capture is not None:
            warn(self, advise.data_capture())

    @classmethod
    @checked
    def from_endpoint_name(cls, scope: Construct, construct_id: str, endpoint_name: str) -> ImportedEndpoint:
        """An endpoint of the same account and region, by its name: it has the grants and, by ``find_variant``, metrics.

        A name with capitals is granted in lower case, too: SageMaker's ARNs were so until about mid-2023. One that is
        known only at deployment is granted as it is.
        """
        return ImportedEndpoint(scope, construct_id, endpoint_name)

    @classmethod
    @checked
    def from_endpoint_arn(cls, scope: Construct, construct_id: str, endpoint_arn: str) -> ImportedEndpoint:
        """An endpoint by its ARN, as ``from_endpoint_name``, also of another account or region.

        Raises:
            InvalidEndpointError: If it is not the ARN of an endpoint.
        """
        return imported_by_arn(scope, construct_id, endpoint_arn)

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """The execution role: what ``bucket.grant_read(endpoint)`` grants to."""
        return self.role

    @property
    def connections(self) -> ec2.Connections:
        """The security groups of the containers.

        Raises:
            ValueError: If the endpoint is in no VPC.
        """
        if self._network is None:
            raise ValueError(f"{self.node.path} has no connections: give it a vpc")
        return self._network.connections

    @property
    def model_policies(self) -> Sequence[iam.Policy]:
        """What lets the role pull images and read models, a policy for each Model that needs another; for findings.

        They are apart from the role's default policy, so that an update never takes from the old fleet what it reads.
        Empty for a role that can't be changed from here.
        """
        return tuple(self._execution.model_policies.values())

    @property
    def rollback_policy(self) -> iam.Policy | None:
        """What lets the role look at the rollback alarms; None without any, or for a role that can't be changed."""
        return self._rollback.policy

    @property
    def variants(self) -> Sequence[ProductionVariant]:
        """The production variants, in the order of their making."""
        return tuple(self._variants)

    @property
    def default_variant(self) -> ProductionVariant:
        """The variant that the endpoint was made with."""
        return self._variants[0]

    @checked
    def find_variant(self, variant_name: str) -> ProductionVariant:
        """The variant of that name.

        Raises:
            InvalidEndpointError: If there is none.
        """
        for variant in self._variants:
            if variant.variant_name == variant_name:
                return variant
        names = ", ".join(variant.variant_name for variant in self._variants)
        raise InvalidEndpointError(
            self.node.path, [Problem("unknownVariant", f"variant_name must be one of {names}, got {variant_name!r}")]
        )

    @checked
    def add_variant(
        self,
        variant_name: str,
        *,
        instance_type: str,
        initial_variant_weight: float,
        container: MultiModelContainer | None = None,
        initial_instance_count: int = 2,
        **options: Unpack[VariantOptions],
    ) -> ProductionVariant:
        """Add a production variant, such as the B of an A/B test. An endpoint has at most 10.

        It takes live traffic by its weight, unless a caller names a variant in ``TargetVariant``.

        Args:
            variant_name: Its name, unique within the endpoint.
            instance_type: Its instances.
            initial_variant_weight: Its share of the traffic, relative to the other variants' weights; 0 for none.
            container: What it serves. Left out, the endpoint's own container. With another store, a caller's target
                model must be under the prefix of whichever variant is hit. The pre- and postprocessors, the role and
                the VPC are the endpoint's.
            initial_instance_count: As for the endpoint.
            **options: As for the endpoint: ``volume_size``, ``model_data_download_timeout``,
                ``container_startup_health_check_timeout``, ``inference_ami_version``, ``enable_ssm_access``,
                ``core_dump`` and ``routing_strategy``.

        Returns:
            The variant, with its metrics and scaling.

        Raises:
            InvalidEndpointError: If SageMaker would refuse the variant, or its image could not load the store's models.

        https://docs.aws.amazon.com/sagemaker/latest/dg/model-ab-testing.html
        """
        variant = Variant(
            variant_name=variant_name,
            instance_type=instance_type,
            initial_instance_count=initial_instance_count,
            initial_variant_weight=initial_variant_weight,
            options=options,
        )
        served = self._container if container is None else container
        raise_if_any(self, self._problems(variant, served))
        served._tell_store(instance_type)
        model = self.model if container is None else self._create_model(f"Model-{variant.id(self)}", container)
        self._properties.append(variant.render(model))
        self.endpoint_config.production_variants = [*self._properties]
        return self._add(variant, served)

    @checked
    def add_rollback_alarms(self, *alarms: cloudwatch.IAlarm) -> None:
        """Roll an update back when one of these alarms, of the endpoint's region, is raised while traffic moves.

        At most 10.

        Without a ``deployment``, traffic moves all at once. Alarms on errors are good ones; latencies rise and cache
        hits fall after every update.

        https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
        """
        self._rollback.add(*alarms)
        deployment = self._deployment or DeploymentPolicy.all_at_once()
        self.endpoint.deployment_config = deployment._render(self._rollback.render())

    @checked
    def monitor(
        self,
        construct_id: str,
        *,
        alarm_topic: sns.ITopic | None = None,
        thresholds: AlarmThresholds | None = None,
        call_log: logs.ILogGroup | None = None,
    ) -> EndpointMonitoring:
        """Make a dashboard and alarms for the variants that there are; call it after ``add_variant``.

        Args:
            construct_id: The id of what is made.
            alarm_topic: Who is told of the alarms, a topic of the endpoint's region. For other actions use
                ``add_alarm_action`` of what is returned.
            thresholds: When to raise which alarm.
            call_log: A log group that has the call log of ``MultiModelClient``, such as that of a function that calls
                the endpoint. The dashboard then has tables of the slowest, the most called, the most failing and the
                coldest models. CloudWatch Logs charges each look at them by what they read.
        """
        return EndpointMonitoring(
            self,
            construct_id,
            endpoint_name=self.endpoint_name,
            call_log=call_log,
            variants=self.variants,
            alarm_topic=alarm_topic,
            thresholds=AlarmThresholds() if thresholds is None else thresholds,
        )

    @checked
    def warm_up(
        self,
        construct_id: str,
        calls: Sequence[WarmUpCall],
        *,
        schedule: events.Schedule | None = None,
        timeout: cdk.Duration | None = None,
    ) -> EndpointWarmUp:
        """Load models before anybody waits for them: after each update of the endpoint, and again by a schedule.

        A Lambda function makes the calls, on every variant, when the endpoint runs under another configuration, when
        the calls have changed, and by the schedule; many at a time, as many as it takes to reach every instance with a
        probability of 99.9 percent if each went to a random one. The deployment waits for it, so that the models are
        loaded when it is done. A call that fails is logged, and fails no deployment.

        SageMaker keeps no model loaded for that, and lets no call choose its instance: it sends calls to an instance
        that holds the model, and to others when there are many. What memory has no room for is unloaded again.

        Example:
            ```python
            endpoint.warm_up(
                "WarmUp",
                [WarmUpCall(churn, "1,2,3", "text/csv")],
                schedule=events.Schedule.rate(cdk.Duration.minutes(15)),
            )
            ```

        Args:
            construct_id: The id of what is made. Models that need other schedules are warmed up by another one.
            calls: One for each model or more. The first model is loaded first; where memory does not hold all of them,
                the last ones stay.
            schedule: When to call again, for models that were unloaded meanwhile and instances that scaling has added.
                Left out, only updates make calls.
            timeout: After what the function gives up and the deployment goes on, 1 to 15 minutes. Left out, 15, which
                is the longest that Lambda has. Models that are still being loaded are asked again until then.

        Raises:
            InvalidEndpointError: If there are no calls, or more than the function's code can hold, 200 MiB of bodies.

        https://docs.aws.amazon.com/sagemaker/latest/dg/how-multi-mode-endpoints-work.html
        """
        return EndpointWarmUp(self, construct_id, calls, endpoint=self.endpoint, schedule=schedule, timeout=timeout)

    def _generate_name(self) -> str:
        # Always a name: EndpointName is the endpoint's only create-only property, so that naming an endpoint later
        # would replace it. Lower case, because SageMaker's ARNs are.
        return cdk.Names.unique_resource_name(self, max_length=validate.NAME_MAX, separator="-").lower()

    def _problems(self, variant: Variant, container: MultiModelContainer) -> Iterator[Problem]:
        """What SageMaker would refuse of a further variant."""
        yield from self._pipeline.problems(container)
        yield from variant.problems(self._place, container.image)
        yield from self._pipeline.instance_problems(variant.instance_type)
        together = [*self._given, variant]
        yield from validate.variant_names([other.variant_name for other in together])
        if self._encryption_key is not None:
            yield from validate.encryption_key("instance_type", variant.instance_type)
        if self._deployment is not None:
            yield from self._deployment._problems([other.initial_instance_count for other in together])

    def _problems_of_place(
        self, role: iam.IRole | None, vpc: ec2.IVpc | None, encryption_key: kms.IKey | None
    ) -> Iterator[Problem]:
        """What is in another region or account, where SageMaker can't use it."""
        place = self._place
        if role is not None:
            yield from place_problems("role", place, place.region, role.env.account)
        if vpc is not None:
            yield from place_problems("vpc", place, vpc.env.region)
        if encryption_key is not None:
            yield from place_problems("encryption_key", place, encryption_key.env.region)
            yield from key_problems("volumes", place, encryption_key)

    def _create_execution_role(self, role: iam.IRole | None, data_capture: DataCapture | None) -> ExecutionRole:
        execution = ExecutionRole(self, role)
        execution.grant_telemetry(self._place, self.endpoint_name)
        if self._network is not None:
            execution.grant_network()
        if self._encryption_key is not None:
            execution.grant_volume_key(self._encryption_key)
        if data_capture is not None:
            execution.grant_write(data_capture)
        return execution

    def _create_network(
        self,
        vpc: ec2.IVpc | None,
        vpc_subnets: ec2.SubnetSelection | None,
        security_groups: Sequence[ec2.ISecurityGroup] | None,
        allow_all_outbound: bool | None,
    ) -> Network | None:
        if vpc is None:
            return None
        return Network(
            self,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_groups=security_groups,
            allow_all_outbound=allow_all_outbound,
        )

    def _create_model(self, construct_id: str, container: MultiModelContainer) -> sagemaker.CfnModel:
        return self._pipeline.create_model(construct_id, container, self._execution, self._network)

    def _create_endpoint_config(
        self,
        encryption_key: kms.IKey | None,
        data_capture: DataCapture | None,
        clarify_explainer: sagemaker.CfnEndpointConfig.ClarifyExplainerConfigProperty | None,
    ) -> sagemaker.CfnEndpointConfig:
        return sagemaker.CfnEndpointConfig(
            self,
            "EndpointConfig",
            production_variants=[*self._properties],
            kms_key_id=None if encryption_key is None else encryption_key.key_arn,
            data_capture_config=None if data_capture is None else data_capture._render(),
            explainer_config=None
            if clarify_explainer is None
            else sagemaker.CfnEndpointConfig.ExplainerConfigProperty(clarify_explainer_config=clarify_explainer),
        )

    def _create_endpoint(self, deployment: DeploymentPolicy | None) -> sagemaker.CfnEndpoint:
        return sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_config_name=self.endpoint_config.attr_endpoint_config_name,
            endpoint_name=self.endpoint_name,
            deployment_config=None if deployment is None else deployment._render(None),
        )

    def _create_log_group(
        self, retention: logs.RetentionDays | None, removal_policy: cdk.RemovalPolicy | None
    ) -> logs.LogGroup | None:
        if retention is None:
            return None
        group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=log_group_name(self.endpoint_name),
            retention=retention,
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if removal_policy is None else removal_policy,
        )
        # before the first container prints anything, and until the last one has
        self.endpoint.node.add_dependency(group)
        return group

    def _add(self, given: Variant, container: MultiModelContainer) -> ProductionVariant:
        warn(self, given.warnings(container.image, self._pipeline.bind(container.image).uri))
        if given.initial_variant_weight == 0:
            self.node.add_validation(_SomeTraffic(self._given))
        if (core_dump := given.options.get("core_dump")) is not None:
            self._execution.grant_write(core_dump)
        variant = ProductionVariant(
            self, self.endpoint, self.endpoint_name, given, container.model_cache, self._on_autoscaled
        )
        self._given.append(given)
        self._variants.append(variant)
        return variant

    def _on_autoscaled(self) -> None:
        if self._retain_variant_properties is None:
            self._retain_instance_counts()

    def _retain_instance_counts(self) -> None:
        self.endpoint.retain_all_variant_properties = True
        self.endpoint.exclude_retained_variant_properties = [
            sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type="DesiredWeight")
        ]


@jsii.implements(IValidation)
class _SomeTraffic:
    """Checks at synth that a variant has traffic: further variants may come until then."""

    def __init__(self, given: Sequence[Variant]) -> None:
        self._given = given

    def validate(self) -> list[str]:
        return [*validate.weights([variant.initial_variant_weight for variant in self._given])]
