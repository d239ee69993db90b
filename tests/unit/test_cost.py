"""What an endpoint costs an app, in counts: the benchmark has the seconds."""

from __future__ import annotations

import subprocess
import sys

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from benchmarks.round_trips import round_trips
from benchmarks.subjects import ACCOUNT, REGION, Subject, bare, full
from benchmarks.synthesis import MODULES, measure
from cdk_multi_model_endpoint import ModelStore
from cdk_multi_model_endpoint._rules.places import place_of
from cdk_multi_model_endpoint._rules.tokens import identity, is_token


@pytest.mark.parametrize(
    ("make", "most"),
    [
        pytest.param(
            bare,
            {
                "round trips": 22,
                "without reads": 15,
                "of a further one": 16,
                "resources": 6,
                "template bytes": 2832,
            },
            id="bare",
        ),
        pytest.param(
            full,
            {
                "round trips": 40,
                "without reads": 29,
                "of a further one": 34,
                "resources": 10,
                "template bytes": 4704,
            },
            id="full",
        ),
    ],
)
def test_endpoint_costs_no_more_than_it_did(make: Subject, most: dict[str, int]) -> None:
    costs = measure(make)
    assert costs.keys() == most.keys()
    assert {what: cost for what, cost in costs.items() if cost > most[what]} == {}


def test_endpoint_costs_the_same_however_many_there_are() -> None:
    stack = cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account=ACCOUNT, region=REGION))
    store = ModelStore(stack, "Models")
    counts = []
    for number in range(12):
        with round_trips() as counted:
            bare(stack, f"Endpoint{number}", store)
        counts.append(counted.total())
    assert len(set(counts[1:])) == 1


def test_import_loads_no_other_modules() -> None:
    program = (
        "import sys, aws_cdk, constructs\n"
        "before = set(sys.modules)\n"
        "import cdk_multi_model_endpoint\n"
        "names = [name.split('.') for name in sys.modules.keys() - before]\n"
        "print(*sorted({part[1] for part in names if part[0] == 'aws_cdk' and part[1] != 'interfaces'}))\n"
        "print(*sorted({part[0] for part in names} - sys.stdlib_module_names))"
    )
    of_cdk, others = _run(program)
    assert of_cdk.split() == MODULES
    assert others.split() == ["aws_cdk", "cdk_multi_model_endpoint", "multi_model_endpoint"]


def test_import_calls_no_jsii() -> None:
    program = (
        "import aws_cdk\n"
        "from benchmarks.round_trips import round_trips\n"
        "with round_trips() as counted:\n"
        "    import cdk_multi_model_endpoint\n"
        "print(dict(counted))"
    )
    assert _run(program) == ["{}"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text",
        "${Token[",
        "${Token[]}",
        "${Token[a b]}",
        "${Token[TOKEN.1]}",
        "a ${Token[AWS.Region.1]} b",
        "${aws:PrincipalTag/tenant}",
        "#{Token[TOKEN.1]}",
        [],
        ["text"],
        ["${Token[TOKEN.1]}"],
        ["#{Token[TOKEN.1]}"],
        ["#{Token[TOKEN.1]}", "text"],
    ],
)
def test_tokens_are_told_as_the_cdk_tells_them(value: str | list[str]) -> None:
    assert is_token(value) == cdk.Token.is_unresolved(value)


@pytest.mark.parametrize("nested", [False, True])
def test_own_bucket_is_named_as_the_cdk_names_it(nested: bool) -> None:
    stack = cdk.Stack(cdk.App(), "Stack")
    store = ModelStore(cdk.NestedStack(stack, "Nested") if nested else stack, "a/b")
    assert store._identity(stack) == identity(stack, store.url)


def test_given_bucket_is_named_by_what_it_refers_to() -> None:
    stack = cdk.Stack(cdk.App(), "Stack")
    store = ModelStore(stack, "Models", bucket=s3.Bucket(stack, "Bucket"))
    assert store._identity(stack) == "s3://*/models/ Stack/Bucket/Resource.Ref"


@pytest.mark.parametrize("env", [None, cdk.Environment(account=ACCOUNT, region=REGION)], ids=["agnostic", "known"])
def test_place_is_that_of_the_stack(env: cdk.Environment | None) -> None:
    stack = cdk.Stack(cdk.App(), "Stack", env=env)
    place = place_of(stack)
    assert (place.partition, place.region, place.account) == (stack.partition, stack.region, stack.account)
    assert place.path == stack.node.path


def test_place_takes_tokens_of_the_users() -> None:
    stack = cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(region=cdk.Token.as_string({"Ref": "Where"})))
    assert place_of(stack).region == stack.region


def _run(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()
