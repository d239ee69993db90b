"""``docs/properties.md`` names every property of the resource schemas, and no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

import cdk_multi_model_endpoint as library
from cdk_multi_model_endpoint._variants.variant import VariantOptions

TYPES = ["AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Endpoint"]
REGION = "us-east-1"


def properties(resource_type: str) -> set[str]:
    """The paths of all properties in a resource's schema."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource_type).schema

    def walk(level: dict[str, Any], prefix: str) -> Iterator[str]:
        for name, value in level.items():
            yield f"{prefix}{name}"
            reference = value.get("items", value).get("$ref", "")
            definition = schema["definitions"].get(reference.removeprefix("#/definitions/"), {})
            yield from walk(definition.get("properties", {}), f"{prefix}{name}.")

    return set(walk(schema["properties"], ""))


def covers(row: str, path: str) -> bool:
    return path == row or (row.endswith(".*") and path.startswith(row[:-1]))


def test_there_is_a_table_for_each_type(property_tables: dict[str, dict[str, str]]) -> None:
    assert list(property_tables) == TYPES


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_property_is_in_the_table(property_tables: dict[str, dict[str, str]], resource_type: str) -> None:
    rows = property_tables[resource_type]
    missing = [path for path in properties(resource_type) if not any(covers(row, path) for row in rows)]
    assert not missing


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_row_is_a_property(property_tables: dict[str, dict[str, str]], resource_type: str) -> None:
    paths = properties(resource_type)
    superfluous = [row for row in property_tables[resource_type] if not any(covers(row, path) for path in paths)]
    assert not superfluous


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_argument_named_in_a_row_exists(property_tables: dict[str, dict[str, str]], resource_type: str) -> None:
    known = {name for exported in library.__all__ for name in names_of(getattr(library, exported))}
    for path, text in property_tables[resource_type].items():
        if text.startswith(("not there", "as above")):
            continue
        for name in re.findall(r"`([a-z_]+)`", text):
            assert name in known, f"{path}: {name}"


def test_every_argument_of_an_endpoint_is_in_a_table(property_tables: dict[str, dict[str, str]]) -> None:
    elsewhere = {"self", "scope", "construct_id", "options", "log_retention", "log_removal_policy"}
    texts = [text for rows in property_tables.values() for text in rows.values()]
    rows = " ".join(text for text in texts if not text.startswith("not there"))
    arguments = set(inspect.signature(library.MultiModelEndpoint.__init__).parameters) | {
        *get_type_hints(VariantOptions)
    }
    assert {name for name in arguments - elsewhere if f"`{name}`" not in rows} == set()


def names_of(exported: Any) -> set[str]:
    """The names of a class's members and of its constructor's and methods' arguments."""
    names = {name for name in dir(exported) if not name.startswith("_")}
    functions = [exported.__init__, *(getattr(exported, name) for name in names)]
    for function in functions:
        if inspect.isfunction(function):
            names |= set(inspect.signature(function).parameters)
    return names | set(inspect.get_annotations(exported))
