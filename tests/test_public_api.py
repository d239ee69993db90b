"""The names that users build on."""

from __future__ import annotations

import inspect
import pkgutil
from typing import get_args, get_type_hints

import pytest

import cdk_multi_model_endpoint as package

NAMES = [
    "AlarmThresholds",
    "AssetOptions",
    "BoundImage",
    "CoreDump",
    "DataCapture",
    "DeploymentPolicy",
    "EndpointMonitoring",
    "EndpointWarmUp",
    "ImportedEndpoint",
    "InferenceImage",
    "InvalidEndpointError",
    "InvocationHttpResponseCode",
    "MetricOptions",
    "ModelApprovals",
    "ModelStore",
    "ModelUploads",
    "MultiModelContainer",
    "MultiModelEndpoint",
    "PipelineContainer",
    "ProductionVariant",
    "RoutingStrategy",
    "ScalableInstanceCount",
    "StoredModel",
    "TrackingOptions",
    "TritonSettings",
    "VariantMetrics",
    "VariantOptions",
    "WarmUpCall",
]


def test_exports_these_names() -> None:
    assert package.__all__ == NAMES


def test_keeps_its_modules_private() -> None:
    assert all(module.name.startswith("_") for module in pkgutil.iter_modules(package.__path__))


@pytest.mark.parametrize("name", NAMES)
def test_documents_what_it_exports(name: str) -> None:
    exported = getattr(package, name)
    assert inspect.getdoc(exported)
    for member_name, member in inspect.getmembers(exported, callable):
        if not member_name.startswith("_") and member.__qualname__.startswith(name):
            assert inspect.getdoc(member), f"{name}.{member_name} has no docstring"


@pytest.mark.parametrize("name", NAMES)
def test_keeps_its_own_business_private(name: str) -> None:
    assert not {"expect", "expect_instances", "problems", "render"} & {*dir(getattr(package, name))}


@pytest.mark.parametrize("name", ["ModelStore", "MultiModelEndpoint"])
def test_documents_every_argument(name: str) -> None:
    exported = getattr(package, name)
    documented = inspect.getdoc(exported)
    assert documented is not None
    for parameter in inspect.signature(exported.__init__).parameters.values():
        if parameter.name not in ("self", "scope", "construct_id"):
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:  # typed options, one by one
                (options,) = get_args(get_type_hints(exported.__init__)[parameter.name])
                names = list(get_type_hints(options))
            else:
                assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
                names = [parameter.name]
            for argument in names:
                assert f"\n    {argument}: " in documented, f"{name} does not document {argument}"


def test_names_every_option_of_a_further_variant() -> None:
    documented = inspect.getdoc(package.MultiModelEndpoint.add_variant)
    assert documented is not None
    assert all(f"``{option}``" in documented for option in get_type_hints(package.VariantOptions))


@pytest.mark.parametrize("name", NAMES)
def test_names_what_it_exports_as_users_import_it(name: str) -> None:
    assert getattr(package, name).__module__ == "cdk_multi_model_endpoint"
