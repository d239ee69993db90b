"""Endpoints by this library, by hand and by the CDK's alpha module, to be compared.

Each is made beside a ``ModelStore`` whose bucket all of them read, with the same image, role, endpoint configuration
and endpoint. The hand-written ones allow what ours allows; the CDK's alpha module is for endpoints with one model,
whose role may do anything in SageMaker: the nearest thing, not the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

REGION, ACCOUNT, IMAGES = "us-west-2", "123456789012", "246618743249"
REPOSITORY, TAG = "sagemaker-xgboost", "3.2-0"

Subject = Callable[[cdk.Stack, str, ModelStore], object]


def bare(stack: cdk.Stack, construct_id: str, store: ModelStore) -> MultiModelEndpoint:
    """The README's first endpoint."""
    container = MultiModelContainer(image=InferenceImage.built_in("xgboost", TAG), model_store=store)
    return MultiModelEndpoint(stack, construct_id, container=container, instance_type="ml.m5.xlarge")


def full(stack: cdk.Stack, construct_id: str, store: ModelStore) -> MultiModelEndpoint:
    """The same with scaling, an alarm, and rollbacks by it."""
    endpoint = bare(stack, construct_id, store)
    scaling = endpoint.default_variant.auto_scale_instance_count(max_capacity=4)
    scaling.scale_on_invocations("Invocations", max_requests_per_second=50)
    errors = endpoint.default_variant.metric_invocation_model_errors()
    endpoint.add_rollback_alarms(errors.create_alarm(stack, f"{construct_id}Errors", threshold=1, evaluation_periods=1))
    return endpoint


def bare_by_hand(stack: cdk.Stack, construct_id: str, store: ModelStore) -> None:
    """The README's first endpoint, of L1s and an ``iam.Role``."""
    _by_hand(stack, construct_id, store, _role(stack, construct_id, store), whole=False)


def full_by_hand(stack: cdk.Stack, construct_id: str, store: ModelStore) -> None:
    """The same with scaling, an alarm, and rollbacks by it."""
    _by_hand(stack, construct_id, store, _role(stack, construct_id, store), whole=True)


def bare_of_l1(stack: cdk.Stack, construct_id: str, store: ModelStore) -> None:
    """The README's first endpoint, of L1s alone."""
    _by_hand(stack, construct_id, store, _cfn_role(stack, construct_id, store, whole=False), whole=False)


def full_of_l1(stack: cdk.Stack, construct_id: str, store: ModelStore) -> None:
    """The same with scaling, an alarm, and rollbacks by it."""
    _by_hand(stack, construct_id, store, _cfn_role(stack, construct_id, store, whole=True), whole=True)


def single_model(stack: cdk.Stack, construct_id: str, store: ModelStore) -> None:
    """An endpoint with one model, of the CDK's alpha module."""
    from aws_cdk import aws_sagemaker_alpha as alpha  # which the tests' counts do without

    model = alpha.Model(
        stack,
        f"{construct_id}Model",
        containers=[
            alpha.ContainerDefinition(
                image=alpha.ContainerImage.from_dlc(REPOSITORY, TAG, IMAGES),
                model_data=alpha.ModelData.from_bucket(store.bucket, "models/churn.tar.gz"),
            )
        ],
    )
    config = alpha.EndpointConfig(
        stack,
        f"{construct_id}Config",
        instance_production_variants=[
            alpha.InstanceProductionVariantProps(
                variant_name="AllTraffic",
                model=model,
                instance_type=alpha.InstanceType.M5_XLARGE,
                initial_instance_count=2,
            )
        ],
    )
    alpha.Endpoint(stack, f"{construct_id}Endpoint", endpoint_config=config)


SUBJECTS: dict[str, Subject] = {
    "bare: ours": bare,
    "bare: L1s, iam.Role": bare_by_hand,
    "bare: L1s, CfnRole": bare_of_l1,
    "single model: the CDK's alpha module": single_model,
    "full: ours": full,
    "full: L1s, iam.Role": full_by_hand,
    "full: L1s, CfnRole": full_of_l1,
}


def _statements(stack: cdk.Stack, name: str, store: ModelStore) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the role may do, for the endpoint's logs and metrics, and for the models."""
    logs = f"arn:{cdk.Aws.PARTITION}:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{name}"
    namespaces = {"StringEquals": {"cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]}}
    write = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    bucket = store.bucket.bucket_arn
    of_prefix = {"StringLike": {"s3:prefix": f"{store.prefix}*"}}
    return [
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": write, "Resource": [logs, f"{logs}:*"]},
        {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": namespaces},
    ], [
        {
            "Effect": "Allow",
            "Action": pull,
            "Resource": f"arn:{cdk.Aws.PARTITION}:ecr:{REGION}:{IMAGES}:repository/{REPOSITORY}",
        },
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{bucket}/{store.prefix}*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, "Condition": of_prefix},
    ]


def _role(stack: cdk.Stack, name: str, store: ModelStore) -> iam.Role:
    role = iam.Role(stack, f"{name}Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
    telemetry, models = _statements(stack, name.lower(), store)
    for statement in (*telemetry, *models):
        role.add_to_policy(iam.PolicyStatement.from_json(statement))
    return role


def _cfn_role(stack: cdk.Stack, name: str, store: ModelStore, *, whole: bool) -> iam.CfnRole:
    telemetry, models = _statements(stack, name.lower(), store)
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    statements = [*telemetry, *models]
    if whole:
        statements.append({"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": _alarm_arn(name)})
    return iam.CfnRole(
        stack,
        f"{name}Role",
        assume_role_policy_document={"Version": "2012-10-17", "Statement": [trust]},
        policies=[
            iam.CfnRole.PolicyProperty(
                policy_name="Hosting", policy_document={"Version": "2012-10-17", "Statement": statements}
            )
        ],
    )


def _alarm_arn(name: str) -> str:
    return f"arn:{cdk.Aws.PARTITION}:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}Errors"


def _by_hand(stack: cdk.Stack, name: str, store: ModelStore, role: iam.Role | iam.CfnRole, *, whole: bool) -> None:
    model = sagemaker.CfnModel(
        stack,
        f"{name}Model",
        containers=[
            sagemaker.CfnModel.ContainerDefinitionProperty(
                image=f"{IMAGES}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:{TAG}",
                mode="MultiModel",
                model_data_url=store.url,
                multi_model_config=sagemaker.CfnModel.MultiModelConfigProperty(model_cache_setting="Enabled"),
            )
        ],
        execution_role_arn=role.attr_arn if isinstance(role, iam.CfnRole) else role.role_arn,
    )
    if isinstance(role, iam.Role):
        model.node.add_dependency(role)
    config = sagemaker.CfnEndpointConfig(
        stack,
        f"{name}Config",
        production_variants=[
            sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                variant_name="AllTraffic",
                model_name=model.attr_model_name,
                instance_type="ml.m5.xlarge",
                initial_instance_count=2,
                initial_variant_weight=1,
            )
        ],
    )
    if not whole:
        sagemaker.CfnEndpoint(
            stack, f"{name}Endpoint", endpoint_name=name.lower(), endpoint_config_name=config.attr_endpoint_config_name
        )
        return
    cloudwatch.CfnAlarm(
        stack,
        f"{name}Errors",
        alarm_name=f"{name}Errors",
        namespace="AWS/SageMaker",
        metric_name="InvocationModelErrors",
        dimensions=[
            cloudwatch.CfnAlarm.DimensionProperty(name="EndpointName", value=name.lower()),
            cloudwatch.CfnAlarm.DimensionProperty(name="VariantName", value="AllTraffic"),
        ],
        comparison_operator="GreaterThanOrEqualToThreshold",
        evaluation_periods=1,
        period=300,
        statistic="Sum",
        threshold=1,
    )
    if isinstance(role, iam.Role):
        role.add_to_policy(iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=[_alarm_arn(name)]))
    endpoint = sagemaker.CfnEndpoint(
        stack,
        f"{name}Endpoint",
        endpoint_name=name.lower(),
        endpoint_config_name=config.attr_endpoint_config_name,
        retain_all_variant_properties=True,
        exclude_retained_variant_properties=[
            sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type="DesiredWeight")
        ],
        deployment_config=sagemaker.CfnEndpoint.DeploymentConfigProperty(
            blue_green_update_policy=sagemaker.CfnEndpoint.BlueGreenUpdatePolicyProperty(
                traffic_routing_configuration=sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(
                    type="ALL_AT_ONCE", wait_interval_in_seconds=0
                )
            ),
            auto_rollback_configuration=sagemaker.CfnEndpoint.AutoRollbackConfigProperty(
                alarms=[sagemaker.CfnEndpoint.AlarmProperty(alarm_name=f"{name}Errors")]
            ),
        ),
    )
    target = appscaling.CfnScalableTarget(
        stack,
        f"{name}Target",
        service_namespace="sagemaker",
        scalable_dimension="sagemaker:variant:DesiredInstanceCount",
        resource_id=f"endpoint/{name.lower()}/variant/AllTraffic",
        min_capacity=2,
        max_capacity=4,
    )
    target.add_resource_dependency(endpoint)
    appscaling.CfnScalingPolicy(
        stack,
        f"{name}Invocations",
        policy_name=f"{name}Invocations",
        policy_type="TargetTrackingScaling",
        scaling_target_id=target.ref,
        target_tracking_scaling_policy_configuration=appscaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
            target_value=1500,
            predefined_metric_specification=appscaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                predefined_metric_type="SageMakerVariantInvocationsPerInstance"
            ),
        ),
    )
