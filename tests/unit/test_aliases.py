"""Aliases that a deployment sets, and who may look them up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InvalidEndpointError, ModelStore

DESTROY = cdk.RemovalPolicy.DESTROY


@pytest.fixture
def stack() -> cdk.Stack:
    return cdk.Stack(cdk.App(), "Stack")


@pytest.fixture
def store(stack: cdk.Stack) -> ModelStore:
    return ModelStore(stack, "Models")


def resource_of(stack: cdk.Stack, alias: str) -> Any:
    """The one that sets an alias."""
    custom = Template.from_stack(stack).find_resources("Custom::AWS").values()
    (found,) = (each for each in custom if f'/.aliases/{alias}\\"' in json.dumps(each))
    return found


def call(properties: dict[str, Any], when: str) -> dict[str, Any]:
    parts = properties[when]["Fn::Join"][1]
    found: dict[str, Any] = json.loads("".join(part if isinstance(part, str) else "bucket" for part in parts))
    return found


def statements(stack: cdk.Stack, action: str) -> list[Any]:
    """The resources of what allows an action alone."""
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    found = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    return [each["Resource"] for each in found if each["Action"] == action]


def test_alias_is_set_after_the_upload_of_its_model(stack: cdk.Stack, store: ModelStore, model: Path) -> None:
    stored = store.add_model("churn", model, aliases=["churn@prod"])
    resource = resource_of(stack, "churn@prod")
    for when in ("Create", "Update"):
        asked = call(resource["Properties"], when)
        assert (asked["service"], asked["action"]) == ("S3", "putObject")
        assert asked["parameters"]["Key"] == "models/.aliases/churn@prod"
        assert asked["parameters"]["Body"] == stored.target_model
    uploads = Template.from_stack(stack).find_resources("Custom::AWS")
    (upload,) = (identifier for identifier, each in uploads.items() if "copyObject" in json.dumps(each))
    assert upload in resource["DependsOn"]


def test_alias_stays_when_it_leaves_the_stack(stack: cdk.Stack, store: ModelStore, model: Path) -> None:
    store.add_model("churn", model, aliases=["churn"])
    assert "Delete" not in resource_of(stack, "churn")["Properties"]
    assert statements(stack, "s3:DeleteObject") == []


def test_alias_is_deleted_with_the_stack_when_its_user_says_so(
    stack: cdk.Stack, store: ModelStore, model: Path
) -> None:
    store.add_model("churn", model, aliases=["churn", "other"], alias_removal_policy=DESTROY)
    resource = resource_of(stack, "churn")
    asked = call(resource["Properties"], "Delete")
    assert asked["action"] == "deleteObject"
    assert asked["parameters"] == {"Bucket": "bucket", "Key": "models/.aliases/churn"}
    (allowed,) = statements(stack, "s3:DeleteObject")
    assert allowed["Fn::Join"][1][1] == "/models/.aliases/*"
    # or it would be gone by the time that the alias is deleted
    policies = Template.from_stack(stack).find_resources(
        "AWS::IAM::Policy", {"Properties": {"PolicyDocument": {"Statement": [{"Action": "s3:DeleteObject"}]}}}
    )
    assert set(policies) < set(resource["DependsOn"])


def test_alias_that_goes_to_another_model_is_the_same_resource(tmp_path: Path) -> None:
    def identifiers(first: list[str], second: list[str]) -> set[str]:
        stack = cdk.Stack(cdk.App(), "Stack")
        store = ModelStore(stack, "Models")
        for name, aliases in (("a", first), ("b", second)):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "model").write_text(name)
            store.add_model(name, tmp_path / name, aliases=aliases)
        return set(Template.from_stack(stack).find_resources("Custom::AWS"))

    assert identifiers(["best"], []) == identifiers([], ["best"])


@pytest.mark.parametrize(
    ("aliases", "problem"),
    [
        pytest.param(["churn@prod", "churn@prod"], r"aliases\[1\] must name one model of the store", id="twice"),
        pytest.param(["taken"], r"aliases\[0\] must name one model of the store, got 'taken'", id="taken"),
        pytest.param(["a.tar.gz"], r"aliases\[0\].*must not end in '.tar.gz'", id="target model"),
        pytest.param(["a b"], r"aliases\[0\].*got 'a b'", id="blank"),
        pytest.param(["tenant_*"], r"aliases\[0\].*got 'tenant_\*'", id="pattern"),
        pytest.param([cdk.Aws.STACK_NAME], r"aliases\[0\] must be known at synth", id="token"),
        pytest.param("churn", "aliases must be a list, got the string 'churn'", id="string"),
    ],
)
def test_refuses_what_is_no_alias_and_adds_nothing(
    stack: cdk.Stack, store: ModelStore, model: Path, aliases: Any, problem: str
) -> None:
    store.add_model("first", model, aliases=["taken"])
    with pytest.raises(InvalidEndpointError, match=problem):
        store.add_model("second", model, aliases=aliases)
    Template.from_stack(stack).resource_count_is("Custom::AWS", 2)


def test_aliases_count_as_resources_of_the_stack(store: ModelStore, model: Path) -> None:
    with pytest.raises(InvalidEndpointError, match=r"at most 496 models and aliases in one stack.* not 497"):
        store.add_model("churn", model, aliases=[f"churn@{number}" for number in range(496)])


def test_grants_to_look_up_some_aliases_and_to_read_no_model(stack: cdk.Stack, store: ModelStore) -> None:
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    store.grant_resolve(role, aliases=["tenant_a/*", "${aws:PrincipalTag/tenant}/*"])
    (allowed,) = statements(stack, "s3:GetObject")
    assert [each["Fn::Join"][1][1] for each in allowed] == [
        "/models/.aliases/tenant_a/*",
        "/models/.aliases/${aws:PrincipalTag/tenant}/*",
    ]


def test_grants_to_look_up_all_aliases_and_to_decrypt_them(stack: cdk.Stack) -> None:
    store = ModelStore(stack, "Models", encryption_key=kms.Key(stack, "Key"))
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    store.grant_resolve(role)
    (allowed,) = statements(stack, "s3:GetObject")
    assert allowed["Fn::Join"][1][1] == "/models/.aliases/*"
    assert len(statements(stack, "kms:Decrypt")) == 1


@pytest.mark.parametrize(
    ("aliases", "problem"),
    [
        pytest.param([], "aliases must not be empty", id="none"),
        pytest.param(["/tenant_a/*"], r"aliases\[0\] must be a pattern of aliases", id="slash"),
        pytest.param(["*.tar.gz"], r"aliases\[0\] must be a pattern of aliases", id="target models"),
        pytest.param("tenant_a/*", "aliases must be a list, got the string", id="string"),
    ],
)
def test_refuses_patterns_that_match_no_alias(stack: cdk.Stack, store: ModelStore, aliases: Any, problem: str) -> None:
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    with pytest.raises(InvalidEndpointError, match=problem):
        store.grant_resolve(role, aliases=aliases)
