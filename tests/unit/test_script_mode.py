"""Code for containers in script mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import (
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
)

from .conftest import MakeEndpoint, resource

SKLEARN = InferenceImage.built_in("sklearn", "1.9-0")
IN_IMAGE = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/code"}
BUCKET = "cdk-hnb659fds-assets-123456789012-us-west-2"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "inference.pyc").write_bytes(b"clock")
    (folder / "inference.py").write_text("def model_fn(model_dir): ...")
    return folder


def environment(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = resource(template, "AWS::SageMaker::Model")["Containers"][0]["Environment"]
    return found


def policies(template: Template) -> dict[str, list[Any]]:
    """The resources of s3:GetObject, by the logical id of the policy."""
    found = template.find_resources("AWS::IAM::Policy")
    return {
        policy_id: [
            statement["Resource"]
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Action"] == "s3:GetObject"
        ]
        for policy_id, policy in found.items()
        if "ModelPolicy" in policy_id
    }


@pytest.mark.parametrize("image", [SKLEARN, InferenceImage.built_in("xgboost", "3.2-0")])
def test_code_is_uploaded_by_its_content_and_readable_for_the_role(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, source: Path, image: InferenceImage
) -> None:
    make_endpoint(image=image, source_directory=source, entry_point="inference.py", environment={"A": "1"})
    template = Template.from_stack(stack)
    found = environment(template)
    url = found.pop("SAGEMAKER_SUBMIT_DIRECTORY")
    assert found == {"A": "1", "SAGEMAKER_PROGRAM": "inference.py"}
    assert url.startswith(f"s3://{BUCKET}/")
    ((policy_id, resources),) = policies(template).items()
    assert {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, f":s3:::{url.removeprefix('s3://')}"]]} in resources
    (model,) = template.find_resources("AWS::SageMaker::Model").values()
    assert policy_id in model["DependsOn"]


def template_with(source: Path) -> Template:
    stack = cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account="123456789012", region="us-west-2"))
    MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(
            image=SKLEARN, model_store=ModelStore(stack, "M"), source_directory=source, entry_point="inference.py"
        ),
        instance_type="ml.m5.xlarge",
    )
    return Template.from_stack(stack)


def test_changed_code_has_a_new_name_and_a_new_policy_beside_the_old(source: Path) -> None:
    before, same = template_with(source), template_with(source)
    (source / "inference.py").write_text("changed")
    after = template_with(source)
    assert before.to_json() == same.to_json()
    assert environment(before) != environment(after)
    assert policies(before).keys().isdisjoint(policies(after))


def test_code_of_a_region_agnostic_stack_lies_in_the_bucket_of_its_deployment(
    make_endpoint: MakeEndpoint, source: Path
) -> None:
    stack = cdk.Stack(cdk.App(), "Agnostic")
    make_endpoint(stack, image=SKLEARN, source_directory=source, entry_point="inference.py")
    url = environment(Template.from_stack(stack))["SAGEMAKER_SUBMIT_DIRECTORY"]
    assert {"Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"} in url["Fn::Join"][1]


def test_a_variant_may_have_code_of_its_own(stack: cdk.Stack, make_endpoint: MakeEndpoint, source: Path) -> None:
    endpoint = make_endpoint(image=SKLEARN, source_directory=source, entry_point="inference.py")
    (source / "inference.py").write_text("changed")
    container = MultiModelContainer(
        image=SKLEARN, model_store=ModelStore(stack, "B"), source_directory=source, entry_point="inference.py"
    )
    endpoint.add_variant("B", instance_type="ml.m5.xlarge", initial_variant_weight=1, container=container)
    models = Template.from_stack(stack).find_resources("AWS::SageMaker::Model").values()
    urls = [model["Properties"]["Containers"][0]["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"] for model in models]
    assert len(set(urls)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "dies without one: give its code by source_directory and entry_point, or set SAGEMAKER_PROGRAM and"),
        ({"environment": {"SAGEMAKER_PROGRAM": "inference.py"}}, "dies without one"),
        ({"entry_point": "inference.py"}, "must be given together, got None and 'inference.py'"),
        ({"source_directory": "{source}"}, "must be given together, got '.*' and None"),
        ({"source_directory": "{source}", "entry_point": "serve.py"}, "must be a .py file right in .*, got 'serve.py'"),
        ({"source_directory": "{source}/..", "entry_point": "src/inference.py"}, "got 'src/inference.py'"),
        ({"source_directory": "{source}", "entry_point": "inference"}, "got 'inference'"),
        ({"source_directory": "{source}/absent", "entry_point": "inference.py"}, "must be a folder, got '.*absent'"),
        (
            {"source_directory": "{source}", "entry_point": "inference.py", "environment": IN_IMAGE},
            "must not set SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY with source_directory",
        ),
        (
            {"source_directory": "{source}", "entry_point": "inference.py", "network_isolation": True},
            "network_isolation must be False",
        ),
        (
            {"environment": IN_IMAGE | {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://b/k.tar.gz"}, "network_isolation": True},
            "network_isolation must be False",
        ),
    ],
)
def test_refuses(make_endpoint: MakeEndpoint, source: Path, arguments: dict[str, Any], message: str) -> None:
    given = {
        name: value.format(source=source) if isinstance(value, str) else value for name, value in arguments.items()
    }
    with pytest.raises(InvalidEndpointError, match=message):
        make_endpoint(image=SKLEARN, **given)


def test_refuses_code_that_can_not_be_packed(make_endpoint: MakeEndpoint, source: Path) -> None:
    (source / "link").symlink_to(source / "absent")
    with pytest.raises(InvalidEndpointError, match="source_directory: path must hold plain files"):
        make_endpoint(image=SKLEARN, source_directory=source, entry_point="inference.py")


def test_an_image_may_hold_its_code_also_without_a_network(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(image=SKLEARN, environment=IN_IMAGE, network_isolation=True)
    assert environment(Template.from_stack(stack)) == IN_IMAGE


def test_variables_may_be_tokens(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    parameter = cdk.CfnParameter(stack, "Code").value_as_string
    make_endpoint(image=SKLEARN, environment=dict.fromkeys(IN_IMAGE, parameter), network_isolation=True)
    assert environment(Template.from_stack(stack)) == {key: {"Ref": "Code"} for key in IN_IMAGE}


def test_scikit_learn_in_a_pipeline_needs_its_program_too(make_endpoint: MakeEndpoint) -> None:
    url = "s3://bucket/scaler.tar.gz"
    in_model = IN_IMAGE | {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    make_endpoint(preprocessors=[PipelineContainer(image=SKLEARN, model_data_url=url, environment=in_model)])
    with pytest.raises(InvalidEndpointError, match="dies without one: set SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIR"):
        make_endpoint(construct_id="Other", preprocessors=[PipelineContainer(image=SKLEARN, model_data_url=url)])


def test_xgboost_with_a_program_needs_to_know_where_it_is(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError, match="xgboost, which with SAGEMAKER_PROGRAM imports a program"):
        make_endpoint(environment={"SAGEMAKER_PROGRAM": "inference.py"})


def test_another_image_needs_no_program(make_endpoint: MakeEndpoint) -> None:
    make_endpoint(image=InferenceImage.built_in("xgboost", "3.2-0"), network_isolation=True)
