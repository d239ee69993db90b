"""Many models and endpoints: what a stack takes, and the ways beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InvalidEndpointError, ModelStore, StoredModel

from .conftest import MakeEndpoint


def shard(scope: cdk.Stack, store: ModelStore) -> ModelStore:
    """A store in another stack over the same bucket and prefix."""
    return ModelStore(scope, "Models", bucket=store.bucket, prefix=store.prefix)


def uploads(template: Template) -> list[Any]:
    return [*template.find_resources("Custom::AWS").values()]


def test_a_further_model_is_one_resource(stack: cdk.Stack, model: Path) -> None:
    app = cdk.Stage.of(stack)
    other = cdk.Stack(app, "Other")
    for scope, number in ((stack, 2), (other, 3)):
        store = ModelStore(scope, "Models")
        for index in range(number):
            store.add_model(f"model-{index}", model)
    two, three = (Template.from_stack(each).to_json()["Resources"] for each in (stack, other))
    assert len(three) == len(two) + 1


def test_models_in_nested_stacks_have_the_same_names_and_the_endpoint_waits_for_them(
    stack: cdk.Stack, model: Path, make_endpoint: MakeEndpoint
) -> None:
    store = ModelStore(stack, "Store")
    first = store.add_model("first", model)
    endpoint = make_endpoint(model_store=store)
    nested = [cdk.NestedStack(stack, f"Nested{number}") for number in range(2)]
    models: list[StoredModel] = []
    for number, each in enumerate(nested):
        models.append(shard(each, store).add_model(f"tenant_{number}/first", model))
        endpoint.node.add_dependency(each)
    digest = first.target_model.removeprefix("first-")
    assert [each.target_model for each in models] == [f"tenant_{number}/first-{digest}" for number in range(2)]
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::CloudFormation::Stack", 2)
    assert len(uploads(template)) == 1
    (created,) = template.find_resources("AWS::SageMaker::Endpoint").values()
    assert {*template.find_resources("AWS::CloudFormation::Stack")} <= {*created["DependsOn"]}
    for each in nested:
        assert len(uploads(Template.from_stack(each))) == 1


@pytest.mark.parametrize("staged", [False, True])
def test_models_of_several_stacks_share_a_store_and_an_endpoint_may_be_in_yet_another(
    model: Path, make_endpoint: MakeEndpoint, staged: bool
) -> None:
    app = cdk.App()
    scope = cdk.Stage(app, "Stage") if staged else app
    env = cdk.Environment(account="123456789012", region="us-west-2")
    store = ModelStore(cdk.Stack(scope, "Store", env=env), "Models")
    stacks = [cdk.Stack(scope, f"Models{number}", env=env) for number in range(2)]
    added = [shard(each, store).add_model("resnet", model) for each in stacks]
    serving = cdk.Stack(scope, "Serving", env=env)
    endpoint = make_endpoint(serving, model_store=store)
    endpoint.node.add_dependency(*added)
    assert len({each.target_model for each in added}) == 1
    for each in stacks:
        assert len(uploads(Template.from_stack(each))) == 1
    policies = str(Template.from_stack(serving).find_resources("AWS::IAM::Policy"))
    assert "s3:GetObject" in policies
    assert "/models/*" in policies


def test_endpoints_on_the_same_instances_look_at_the_models_once(
    stack: cdk.Stack, model: Path, make_endpoint: MakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def look(size: int, instance_type: str) -> list[str]:
        looked.append(instance_type)
        return []

    monkeypatch.setattr("cdk_multi_model_endpoint._models.served.advise.model_size", look)
    store = ModelStore(stack, "Store")
    store.add_model("a", model, check_layout=False)
    for number in range(3):
        make_endpoint(construct_id=f"Endpoint{number}", model_store=store)
    assert looked == ["ml.m5.xlarge"]


def test_refuses_more_models_than_a_stack_takes_before_it_reads_them_and_names_the_ways_beyond(
    stack: cdk.Stack, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdk_multi_model_endpoint._models.stored_model._MODELS_MAX", 2)
    store, other = ModelStore(stack, "Models"), ModelStore(stack, "Others")
    store.add_model("a", model)
    for name in ("b", "c"):
        (tmp_path / "many" / name).mkdir(parents=True)
    monkeypatch.setattr("cdk_multi_model_endpoint._models.store.packed_in_assembly", pytest.fail)
    with pytest.raises(
        InvalidEndpointError, match=r"at most 2 models and aliases in one stack.* not 3:.* 'mme push'.* nested"
    ):
        other.add_models(tmp_path / "many")
    monkeypatch.undo()
    monkeypatch.setattr("cdk_multi_model_endpoint._models.stored_model._MODELS_MAX", 2)
    other.add_model("b", model)
    monkeypatch.setattr("cdk_multi_model_endpoint._models.store.packed_in_assembly", pytest.fail)
    with pytest.raises(InvalidEndpointError, match="at most 2 models and aliases in one stack"):
        store.add_model("c", model)
