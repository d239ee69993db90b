"""The ids by which errors and warnings are looked up."""

from __future__ import annotations

import copy
import pickle

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Annotations, Match

from cdk_multi_model_endpoint import InvalidEndpointError
from multi_model_endpoint.artifacts import InvalidModelError
from multi_model_endpoint.artifacts.findings import Advice, Problem

from .conftest import MakeEndpoint

PROBLEM = Problem("invalidName", "name must be short")


def test_each_message_of_an_error_ends_with_its_id(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError) as caught:
        make_endpoint(variant_name="all_traffic", initial_instance_count=0)
    assert [problem.rule for problem in caught.value.problems] == ["invalidName", "outOfRange"]
    assert str(caught.value).splitlines()[1:] == [f"  - {problem}" for problem in caught.value.problems]
    assert [line.rpartition(" ")[2] for line in str(caught.value).splitlines()[1:]] == ["[invalidName]", "[outOfRange]"]


def test_a_problem_is_its_message_with_the_id_and_has_both_apart() -> None:
    assert PROBLEM == "name must be short [invalidName]"
    assert (PROBLEM.rule, PROBLEM.message) == ("invalidName", "name must be short")


def test_a_problem_of_one_of_several_keeps_its_id_at_the_end() -> None:
    assert PROBLEM.of("churn") == "churn: name must be short [invalidName]"
    assert str(Advice("manyModels", "there are many").of("churn")) == "churn: there are many [manyModels]"


@pytest.mark.parametrize("copied", [copy.deepcopy(PROBLEM), pickle.loads(pickle.dumps(PROBLEM))])
def test_a_copy_of_a_problem_is_the_same(copied: Problem) -> None:
    assert (copied, copied.rule, copied.message) == (PROBLEM, PROBLEM.rule, PROBLEM.message)


def test_what_a_model_is_refused_for_has_its_id() -> None:
    assert str(InvalidModelError([PROBLEM, PROBLEM])) == f"{PROBLEM}; {PROBLEM}"


def test_a_warning_shows_its_id_once(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(initial_instance_count=1)
    (warning,) = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("initial_instance_count"))
    assert str(warning.entry.data).endswith("at least 2 instances [ack: cdk-multi-model-endpoint:singleInstance]")


def test_what_is_refused_at_synth_has_its_id(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(initial_variant_weight=0)
    with pytest.raises(RuntimeError, match=r"otherwise none gets traffic \[weightsAllZero\]"):
        cdk.App.of(stack).synth()  # type: ignore[union-attr]
