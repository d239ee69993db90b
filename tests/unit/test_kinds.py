"""Arguments of another kind than is meant: what ``-c`` gives, and what would end jsii's process."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import (
    AlarmThresholds,
    DataCapture,
    DeploymentPolicy,
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
    ProductionVariant,
    ScalableInstanceCount,
    TritonSettings,
)

from .conftest import MakeEndpoint, resource

MINUTE = cdk.Duration.minutes(1)
IMAGE = InferenceImage.built_in("xgboost", "3.2-0")


class Answer(IntEnum):
    TWO = 2


Given = Callable[[cdk.Stack, MakeEndpoint, Any], object]


def variant(m: MakeEndpoint) -> ProductionVariant:
    return m().default_variant


def scaling(m: MakeEndpoint) -> ScalableInstanceCount:
    return variant(m).auto_scale_instance_count(max_capacity=4)


def bucket(s: cdk.Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(s, "Captured", "captured")


WHOLE_NUMBERS: dict[str, Given] = {
    "initial_instance_count": lambda s, m, v: m(initial_instance_count=v),
    "max_capacity": lambda s, m, v: variant(m).auto_scale_instance_count(max_capacity=v),
    "min_capacity": lambda s, m, v: scaling(m).scale_on_schedule(
        "S", schedule=appscaling.Schedule.rate(MINUTE), min_capacity=v
    ),
    "sampling_percentage": lambda s, m, v: DataCapture(bucket=bucket(s), sampling_percentage=v),
    "percent": lambda s, m, v: DeploymentPolicy.canary(wait=MINUTE, percent=v),
    "instances": lambda s, m, v: DeploymentPolicy.rolling(wait=MINUTE, instances=v),
    "thread_count": lambda s, m, v: TritonSettings(thread_count=v),
}
NUMBERS: dict[str, Given] = {
    "initial_variant_weight": lambda s, m, v: m(initial_variant_weight=v),
    "max_requests_per_second": lambda s, m, v: scaling(m).scale_on_invocations("S", max_requests_per_second=v),
    "safety_factor": lambda s, m, v: scaling(m).scale_on_invocations("S", max_requests_per_second=1, safety_factor=v),
    "target_utilization_percent": lambda s, m, v: scaling(m).scale_on_cpu_utilization(
        "S", target_utilization_percent=v
    ),
    "target_value": lambda s, m, v: scaling(m).scale_to_track_metric(
        "S", metric=m(construct_id="Other").default_variant.metric_invocations(), target_value=v
    ),
    "model_unloads": lambda s, m, v: AlarmThresholds(model_unloads=v),
    "model_load_gpu_limit": lambda s, m, v: TritonSettings(model_load_gpu_limit=v),
}
STRINGS: dict[str, Given] = {
    "endpoint_name": lambda s, m, v: m(endpoint_name=v),
    "variant_name": lambda s, m, v: m(variant_name=v),
    "instance_type": lambda s, m, v: m(instance_type=v),
    "inference_ami_version": lambda s, m, v: m(inference_ami_version=v),
    "container_hostname": lambda s, m, v: m(container_hostname=v),
    "prefix": lambda s, m, v: ModelStore(s, "Models", prefix=v),
    "name": lambda s, m, v: ModelStore(s, "Models").add_model(v, "."),
    "path": lambda s, m, v: ModelStore(s, "Models").add_model("resnet", v),
    "directory": lambda s, m, v: ModelStore(s, "Models").add_models(v),
    "folder": lambda s, m, v: ModelStore(s, "Models").add_models(".", folder=v),
    "endpoint_arn": lambda s, m, v: MultiModelEndpoint.from_endpoint_arn(s, "Theirs", v),
    "algorithm": lambda s, m, v: InferenceImage.built_in(v),
    "version": lambda s, m, v: InferenceImage.built_in("xgboost", v),
    "tag": lambda s, m, v: InferenceImage.triton(v),
    "repository_name": lambda s, m, v: InferenceImage.from_dlc(v, "1"),
    "uri": lambda s, m, v: InferenceImage.from_uri(v),
    "model_data_url": lambda s, m, v: PipelineContainer(image=IMAGE, model_data_url=v),
}


def refusal(given: Given, stack: cdk.Stack, make_endpoint: MakeEndpoint, value: object) -> str:
    with pytest.raises(InvalidEndpointError) as caught:
        given(stack, make_endpoint, value)
    (problem,) = caught.value.problems
    assert problem.rule == "wrongType"
    return problem.message


@pytest.mark.parametrize("argument", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", ["3", 1.5, True, float("inf"), float("nan"), Fraction(3), [3]])
def test_a_whole_number_is_asked_for(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, argument: str, value: object
) -> None:
    problem = refusal(WHOLE_NUMBERS[argument], stack, make_endpoint, value)
    assert problem.startswith((f"{argument} must be a whole number, got ", f"{argument} must be a finite number, got "))


@pytest.mark.parametrize("argument", NUMBERS)
@pytest.mark.parametrize("value", ["3", False, float("inf"), float("nan"), Decimal(3), 10**400])
def test_a_number_is_asked_for(stack: cdk.Stack, make_endpoint: MakeEndpoint, argument: str, value: object) -> None:
    problem = refusal(NUMBERS[argument], stack, make_endpoint, value)
    assert problem.startswith((f"{argument} must be a number, got ", f"{argument} must be a finite number, got "))


@pytest.mark.parametrize("argument", STRINGS)
@pytest.mark.parametrize("value", [3, b"x", ["a"], {"a": "b"}])
def test_a_string_is_asked_for(stack: cdk.Stack, make_endpoint: MakeEndpoint, argument: str, value: object) -> None:
    problem = refusal(STRINGS[argument], stack, make_endpoint, value)
    assert problem.startswith(f"{argument} must be a string")


@pytest.mark.parametrize(
    ("argument", "given"),
    [(argument, WHOLE_NUMBERS[argument]) for argument in ("initial_instance_count", "max_capacity")]
    + [(argument, NUMBERS[argument]) for argument in ("initial_variant_weight", "target_value")]
    + [(argument, STRINGS[argument]) for argument in ("variant_name", "instance_type", "prefix", "uri", "name")],
)
def test_none_is_refused_where_it_means_nothing(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, argument: str, given: Given
) -> None:
    assert refusal(given, stack, make_endpoint, None).endswith("got None")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            lambda s, m, v: m(initial_instance_count="3"),
            "initial_instance_count must be a whole number, got the string '3': write int(…), context given "
            "by -c is text",
        ),
        (
            lambda s, m, v: m(initial_instance_count=cdk.CfnParameter(s, "Count", type="Number").value),
            "initial_instance_count must be a whole number, got a token: write Token.as_number(…)",
        ),
        (
            lambda s, m, v: m(endpoint_name=cdk.CfnParameter(s, "Name").value),
            "endpoint_name must be a string, got a token: write Token.as_string(…)",
        ),
        (
            lambda s, m, v: InferenceImage.triton(26.05),  # type: ignore[arg-type]
            "tag must be a string, got 26.05: write '26.05'",
        ),
        (
            lambda s, m, v: m(enable_ssm_access="false"),
            "enable_ssm_access must be True or False, got the string 'false': write … == 'true', context given by -c "
            "is text",
        ),
        (
            lambda s, m, v: TritonSettings(log_info=1),  # type: ignore[arg-type]
            "log_info must be True or False, got 1",
        ),
        (lambda s, m, v: m(volume_size=3), "volume_size must be of the kind Size, got 3"),
        (
            lambda s, m, v: m(model_data_download_timeout=60),
            "model_data_download_timeout must be of the kind Duration, got 60",
        ),
        (
            lambda s, m, v: scaling(m).scale_on_invocations(
                "S",
                max_requests_per_second=1,
                scale_in_cooldown=60,  # type: ignore[arg-type]
            ),
            "",
        ),
        (
            lambda s, m, v: m(routing_strategy="RANDOM"),
            "routing_strategy must be of the kind RoutingStrategy, got the string 'RANDOM'",
        ),
        (
            lambda s, m, v: ModelStore(s, "M", bucket="mine"),  # type: ignore[arg-type]
            "bucket must be of the kind IBucket, got the string 'mine'",
        ),
        (lambda s, m, v: m(role="arn:aws:iam::1:role/r"), ""),
        (
            lambda s, m, v: MultiModelContainer(image="xgboost", model_store=ModelStore(s, "M")),  # type: ignore[arg-type]
            "",
        ),
        (lambda s, m, v: m(environment=None), "environment must be a mapping such as a dict, got None"),
        (lambda s, m, v: m(environment={3: "x"}), "environment must have strings as names, got 3"),
        (
            lambda s, m, v: m(initial_instance_count=Fraction(3)),
            "initial_instance_count must be a whole number, got Fraction(3, 1): it is of the kind Fraction, write "
            "int(…)",
        ),
        (lambda s, m, v: m(initial_instance_count=Answer.TWO), ""),
        (
            lambda s, m, v: m(vpc=ec2.Vpc(s, "Vpc"), vpc_subnets={"one_per_az": True}),
            "vpc_subnets must be of the kind SubnetSelection, got {'one_per_az': True}",
        ),
        (lambda s, m, v: m(preprocessors=["scaler"]), ""),
        (lambda s, m, v: m(preprocessors=IMAGE), ""),
        (lambda s, m, v: m().add_rollback_alarms("errors"), ""),
        (lambda s, m, v: InferenceImage.from_ecr_repository("mine"), ""),  # type: ignore[arg-type]
        (lambda s, m, v: m().grant_invoke("arn:aws:iam::1:role/r"), ""),
        (
            lambda s, m, v: m(initial_variant_weight="3"),
            "initial_variant_weight must be a number, got the string '3': write int(…) or float(…), context given by "
            "-c is text",
        ),
        (lambda s, m, v: m(environment={"LEVEL": None}), "environment must have strings as values, got None for LEVEL"),
        (
            lambda s, m, v: m().grant_invoke(
                iam.AccountRootPrincipal(),
                target_models=cdk.CfnParameter(s, "Tenant").value_as_string,
            ),
            "target_models must be a list, got a token: write […], or Token.as_list(…) for a whole list",
        ),
    ],
)
def test_what_else_is_asked_for(stack: cdk.Stack, make_endpoint: MakeEndpoint, given: Given, problem: str) -> None:
    found = refusal(given, stack, make_endpoint, None)
    assert found == problem or not problem


@pytest.mark.parametrize(
    ("argument", "kind"),
    [
        ("image", "InferenceImage"),
        ("model_store", "ModelStore"),
        ("deployment", "DeploymentPolicy"),
        ("data_capture", "DataCapture"),
        ("core_dump", "CoreDump"),
    ],
)
def test_an_object_of_another_class_is_no_such_thing(make_endpoint: MakeEndpoint, argument: str, kind: str) -> None:
    with pytest.raises(InvalidEndpointError, match=f"{argument} must be of the kind {kind}, got <"):
        make_endpoint(**{argument: cdk.App()})


def test_an_image_alone_is_no_container(stack: cdk.Stack) -> None:
    image: Any = IMAGE
    with pytest.raises(InvalidEndpointError, match="container must be of the kind MultiModelContainer, got <"):
        MultiModelEndpoint(stack, "Endpoint", container=image, instance_type="ml.m5.xlarge")


def test_the_error_names_the_construct_or_what_was_called(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    wrong: Any = "3"
    with pytest.raises(InvalidEndpointError, match=r"^Stack/Endpoint is not valid:"):
        make_endpoint(initial_instance_count=wrong)
    with pytest.raises(InvalidEndpointError, match=r"^DataCapture is not valid:"):
        DataCapture(bucket=bucket(stack), sampling_percentage=wrong)
    with pytest.raises(InvalidEndpointError, match=r"^InferenceImage.triton is not valid:"):
        InferenceImage.triton(26.05)  # type: ignore[arg-type]


def test_all_that_is_wrong_is_said_at_once(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError) as caught:
        make_endpoint(initial_instance_count="3", variant_name=1, volume_size=8)
    assert len(caught.value.problems) == 3


def test_what_python_says_itself_stays(stack: cdk.Stack) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        ModelStore(stack)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        ModelStore(stack, "Models", folder="x")  # type: ignore[call-arg]


def test_options_that_are_none_are_left_out(stack: cdk.Stack, make_endpoint: MakeEndpoint, tmp_path: Path) -> None:
    none: Any = None
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    InferenceImage.from_asset(tmp_path, file=none)
    scaling(make_endpoint).scale_on_invocations("Load", max_requests_per_second=1, scale_in_cooldown=none)
    metric = make_endpoint(construct_id="Other").default_variant.metric_invocations(dimensions_map=none, label=none)
    assert metric.metric_name == "Invocations"


def test_a_struct_of_cloudformations_may_be_a_dict(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(clarify_explainer={"shapConfig": {"shapBaselineConfig": {"shapBaseline": "1,2"}}})
    config = resource(Template.from_stack(stack), "AWS::SageMaker::EndpointConfig")
    assert "ShapConfig" in config["ExplainerConfig"]["ClarifyExplainerConfig"]


def test_read_only_mappings_and_other_sequences_are_taken(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    endpoint = make_endpoint(
        environment=MappingProxyType({"A": "b"}),
        preprocessors=(PipelineContainer(image=IMAGE, environment=MappingProxyType({"C": "d"})),),
    )
    endpoint.grant_invoke(caller, target_models=("a/*",))
    first, second = resource(Template.from_stack(stack), "AWS::SageMaker::Model")["Containers"]
    assert (first["Environment"], second["Environment"]) == ({"C": "d"}, {"A": "b"})


def test_read_only_build_arguments_are_taken(stack: cdk.Stack, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    image = InferenceImage.from_asset(tmp_path, build_args=MappingProxyType({"A": "b"}))
    assert image.bind(stack).uri


def test_lists_that_are_tokens_are_left_to_cloudformation(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    values = cdk.CfnParameter(stack, "Values", type="CommaDelimitedList").value_as_list
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    capture = DataCapture(bucket=bucket(stack), csv_content_types=values)
    make_endpoint(data_capture=capture).grant_invoke(caller, target_models=values)
    template = Template.from_stack(stack)
    captured = resource(template, "AWS::SageMaker::EndpointConfig")["DataCaptureConfig"]
    assert captured["CaptureContentTypeHeader"]["CsvContentTypes"] == {"Ref": "Values"}
    assert '"sagemaker:TargetModel": {"Ref": "Values"}' in str(template.to_json()).replace("'", '"')
    arguments = TritonSettings(additional_args=values).environment
    assert stack.resolve(arguments) == {"SAGEMAKER_TRITON_ADDITIONAL_ARGS": {"Fn::Join": [" ", {"Ref": "Values"}]}}


def test_a_repository_of_the_app_is_taken(stack: cdk.Stack) -> None:
    assert InferenceImage.from_ecr_repository(ecr.Repository(stack, "Repository")).bind(stack).uri


def test_names_what_was_called_with_an_option_that_does_not_exist(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(TypeError, match=r"^MultiModelEndpoint.__init__\(\) got an unexpected keyword .* 'volume'"):
        make_endpoint(volume=cdk.Size.gibibytes(1))
    add_variant: Any = make_endpoint(construct_id="Other").add_variant
    with pytest.raises(TypeError, match=r"add_variant\(\) got an unexpected keyword argument 'volume'"):
        add_variant("B", instance_type="ml.m5.large", initial_variant_weight=1, volume=cdk.Size.gibibytes(1))
