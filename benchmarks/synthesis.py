"""What an endpoint costs an app: calls of jsii, seconds, resources, template; and what importing the library costs.

Each subject is made beside a ``ModelStore`` whose bucket all of them read, with the same image, role, endpoint
configuration and endpoint. The hand-written ones allow what ours allows; the CDK's alpha module is for endpoints with
one model, whose role may do anything in SageMaker: the nearest thing, not the same.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sagemaker_alpha as alpha
from jsii._kernel.providers.process import _NodeProcess

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint

REGION, ACCOUNT, IMAGES = "us-west-2", "123456789012", "246618743249"
REPOSITORY, TAG = "sagemaker-xgboost", "3.2-0"
READS = {"Get", "StaticGet"}
ROUNDS = 7
MANY = (1, 20, 60)
MODULES = [
    "aws_applicationautoscaling",
    "aws_cloudwatch",
    "aws_cloudwatch_actions",
    "aws_ec2",
    "aws_ecr",
    "aws_ecr_assets",
    "aws_iam",
    "aws_kms",
    "aws_lambda",
    "aws_logs",
    "aws_s3",
    "aws_s3_assets",
    "aws_sagemaker",
    "aws_sns",
    "custom_resources",
]
"""The modules of aws_cdk that the library imports, too."""

Subject = Callable[[cdk.Stack, str, ModelStore], object]


@contextmanager
def round_trips() -> Iterator[Counter[str]]:
    """Count the messages to jsii's process, by kind; Python waits for the answer to each.

    All of them: ``Create``, ``Invoke``, ``StaticInvoke`` and ``Set``, which were 38 of a bare endpoint in November
    2026; and the ``READS``, which cost as much, and were 22 more. What a process does once, such as loading the CDK or
    reading its constants, is in the count of whoever is first: make another stack before.
    """
    counted: Counter[str] = Counter()
    send = _NodeProcess.send

    def counting(process: _NodeProcess, request: Any, response_type: Any) -> Any:
        counted[type(request).__name__.strip("_").removesuffix("Request")] += 1
        return send(process, request, response_type)

    with patch.object(_NodeProcess, "send", counting):
        yield counted


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


def measure(make: Subject) -> dict[str, int]:
    """What is counted of a subject: the round trips of the first in a stack, of another there, and the template."""
    make(*_place("Warm"))  # loads and reads what a process needs once
    stack, _, store = _place("Counted")
    without = _template(stack)
    stack, _, store = _place("Counted")
    with round_trips() as first:
        make(stack, "Endpoint", store)
    with_it = _template(stack)
    stack, _, store = _place("Counted")
    make(stack, "Endpoint", store)
    with round_trips() as further:
        make(stack, "Further", store)
    return {
        "round trips": first.total(),
        "without reads": sum(count for kind, count in first.items() if kind not in READS),
        "of a further one": further.total(),
        "resources": len(with_it["Resources"]) - len(without["Resources"]),
        "template bytes": _bytes(with_it) - _bytes(without),
    }


def rows(*, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """A row for each subject: what is counted, and the median of the seconds to make and synthesize a stack of it."""
    table: list[dict[str, Any]] = [{"subject": name, **measure(make)} for name, make in SUBJECTS.items()]
    seconds: dict[str, list[float]] = {name: [] for name in SUBJECTS}
    for _ in range(rounds):  # in turns, so that what else the machine does hits all alike
        for name, make in SUBJECTS.items():
            seconds[name].append(_seconds(make, 1))
    for row in table:
        row["seconds"] = statistics.median(seconds[row["subject"]])
    return table


def many_rows(*, counts: Sequence[int] = MANY) -> list[dict[str, Any]]:
    """Apps of more and more bare endpoints, each in a stack of its own: seconds and MB by endpoint must not rise."""
    return [
        {
            "endpoints": count,
            **{f"seconds by endpoint: {name}": _seconds(SUBJECTS[name], count) / count for name in list(SUBJECTS)[:2]},
        }
        for count in counts
    ]


def import_rows(*, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """What ``import cdk_multi_model_endpoint`` adds to an app that imports the same modules of aws_cdk."""
    _imported()  # the first may have to compile
    found = [_imported() for _ in range(rounds)]
    return [
        {
            "import": "cdk_multi_model_endpoint",
            "milliseconds": statistics.median(milliseconds for milliseconds, _ in found),
            "modules": found[0][1],
        }
    ]


def _imported() -> tuple[float, int]:
    """The milliseconds and the modules that are imported with the library, and not before it."""
    program = f"import aws_cdk\nfrom aws_cdk import {', '.join(MODULES)}\nimport cdk_multi_model_endpoint"
    done = subprocess.run(  # noqa: S603 - a program of ours
        [sys.executable, "-X", "importtime", "-c", program],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = re.findall(r"^import time: +(\d+) \| +(\d+) \|( +)(\S+)$", done.stderr, re.MULTILINE)
    *before, (_, microseconds, depth, name) = lines
    assert name == "cdk_multi_model_endpoint"
    modules = 1
    while before and len(before.pop()[2]) > len(depth):
        modules += 1
    return int(microseconds) / 1000, modules


def _place(name: str) -> tuple[cdk.Stack, str, ModelStore]:
    stack = cdk.Stack(cdk.App(), name, env=cdk.Environment(account=ACCOUNT, region=REGION))
    return stack, "Endpoint", ModelStore(stack, "Models")


def _seconds(make: Subject, count: int) -> float:
    started = time.perf_counter()
    app = cdk.App()
    for number in range(count):
        stack = cdk.Stack(app, f"Stack{number}", env=cdk.Environment(account=ACCOUNT, region=REGION))
        make(stack, "Endpoint", ModelStore(stack, "Models"))
    app.synth()
    return time.perf_counter() - started


def _template(stack: cdk.Stack) -> dict[str, Any]:
    assembly = cdk.App.of(stack).synth()  # type: ignore[union-attr]
    template: dict[str, Any] = json.loads(Path(assembly.directory, f"{stack.artifact_id}.template.json").read_text())
    return template


def _bytes(template: dict[str, Any]) -> int:
    return len(json.dumps(template, separators=(",", ":")))


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
