"""docs/rules.md has every rule that the library can name, and says of it what the library says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

from scripts import write_rules

# by what makes a problem or a warning: the place of its rule among the arguments
NAMED = {"Problem": 0, "Advice": 0, "invalid": 0, "problem": 0, "warn": 0, "_refuse": 1}
HANDED_ON = ("rule", "self.rule")
RULES = {rule: entry for rules in write_rules.TABLE.values() for rule, entry in rules.items()}


def named_in(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            rules = node.args[NAMED[name] :][:1] if name in NAMED else []
            for rule in rules:
                if isinstance(rule, ast.Constant):
                    yield str(rule.value)
                elif name in ("Problem", "Advice"):
                    assert ast.unparse(rule) in HANDED_ON, source


def test_the_page_is_what_the_table_and_the_library_say() -> None:
    assert write_rules.PAGE.read_text() == write_rules.page(), "run python -m scripts.write_rules"


def test_every_rule_that_is_named_is_in_the_table_and_has_an_example(root: Path) -> None:
    sources = [*root.glob("constructs/**/*.py"), *root.glob("toolkit/**/*.py")]
    assert {rule for source in sources for rule in named_in(source)} == {*RULES}
    assert {*write_rules.EXAMPLES} == {*RULES}


def test_ids_are_like_the_warnings() -> None:
    assert [rule for rule in RULES if not re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", rule)] == []


@pytest.mark.parametrize("what", ["about", "why", "way_out"])
def test_every_rule_has_its_cause_and_its_way_out(what: str) -> None:
    assert [rule for rule, entry in RULES.items() if not entry.get(what)] == []


def test_pages_of_the_api_are_those_of_its_operations_and_types() -> None:
    pages = {page for entry in RULES.values() for page in entry.get("pages", ()) if page.startswith("API_")}
    session = botocore.session.get_session()
    api, runtime = (session.get_service_model(name) for name in ("sagemaker", "sagemaker-runtime"))
    known = {f"API_{name}" for name in (*api.operation_names, *api.shape_names)}
    assert pages <= known | {f"API_runtime_{name}" for name in runtime.operation_names}
