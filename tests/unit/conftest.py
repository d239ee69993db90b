"""An endpoint to vary, and its template."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint
from multi_model_endpoint.artifacts.findings import Problem

MakeEndpoint = Callable[..., MultiModelEndpoint]


@pytest.fixture
def stack() -> cdk.Stack:
    return cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account="123456789012", region="us-west-2"))


@pytest.fixture
def make_endpoint(stack: cdk.Stack) -> MakeEndpoint:
    """Make an endpoint; arguments of the container and of the endpoint may be mixed."""

    def make(scope: cdk.Stack = stack, construct_id: str = "Endpoint", **arguments: Any) -> MultiModelEndpoint:
        container = {
            key: arguments.pop(key) for key in (field.name for field in fields(MultiModelContainer)) if key in arguments
        }
        container.setdefault("image", InferenceImage.built_in("xgboost", "3.2-0"))
        if "model_store" not in container:
            container["model_store"] = ModelStore(scope, f"{construct_id}Models")
        arguments.setdefault("instance_type", "ml.m5.xlarge")
        return MultiModelEndpoint(scope, construct_id, container=MultiModelContainer(**container), **arguments)

    return make


def resource(template: Template, resource_type: str) -> dict[str, Any]:
    """The properties of the only resource of a type."""
    (only,) = template.find_resources(resource_type).values()
    properties: dict[str, Any] = only["Properties"]
    return properties


def messages(problems: Iterable[Problem]) -> list[str]:
    """What problems say, without their rules' ids."""
    return [problem.message for problem in problems]


def as_list(value: str | list[str]) -> list[str]:
    """An action or resource of a policy statement, which stands alone where there is one."""
    return [value] if isinstance(value, str) else value


def only_variant(template: Template) -> dict[str, Any]:
    """The properties of the only production variant."""
    (only,) = resource(template, "AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    properties: dict[str, Any] = only
    return properties
