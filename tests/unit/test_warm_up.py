"""What a warm-up adds to a template, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_events as events
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import EndpointWarmUp, InvalidEndpointError, ModelStore, StoredModel, WarmUpCall

from .conftest import MakeEndpoint

CALL = WarmUpCall("churn.tar.gz", "1,2", "text/csv")
TOKEN = cdk.Token.as_string({"Ref": "Given"})


def added(stack: cdk.Stack) -> dict[str, Any]:
    """The resources of the warm-ups, by logical id."""
    resources = Template.from_stack(stack).to_json()["Resources"]
    return {logical_id: each for logical_id, each in resources.items() if "WarmUp" in logical_id}


def of_type(stack: cdk.Stack, resource_type: str) -> dict[str, Any]:
    (found,) = (each for each in added(stack).values() if each["Type"] == resource_type)
    return dict(found)


@pytest.fixture
def churn(stack: cdk.Stack, model: Path) -> StoredModel:
    return ModelStore(stack, "Models").add_model("churn", model, check_layout=False)


def test_it_is_called_when_the_endpoint_runs_under_another_configuration(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    endpoint = make_endpoint()
    warm_up = endpoint.warm_up("WarmUp", [CALL])
    resource = of_type(stack, "Custom::MultiModelEndpointWarmUp")
    properties = resource["Properties"]
    assert properties["EndpointConfigName"] == stack.resolve(endpoint.endpoint_config.attr_endpoint_config_name)
    assert properties["EndpointName"] == endpoint.endpoint_name
    assert properties["ServiceToken"] == stack.resolve(warm_up.function.function_arn)
    assert stack.get_logical_id(endpoint.endpoint) in resource["DependsOn"]
    assert any("DefaultPolicy" in each for each in resource["DependsOn"])


def test_it_waits_for_the_uploads_of_its_models(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, churn: StoredModel
) -> None:
    make_endpoint().warm_up("WarmUp", [WarmUpCall(churn, "1,2", "text/csv")])
    assert any("churnUpload" in each for each in of_type(stack, "Custom::MultiModelEndpointWarmUp")["DependsOn"])


def test_other_calls_are_made_by_the_deployment_that_brings_them(make_endpoint: MakeEndpoint) -> None:
    def digest(call: WarmUpCall) -> str:
        stack = cdk.Stack(cdk.App(), "Stack")
        make_endpoint(stack).warm_up("WarmUp", [call])
        return str(of_type(stack, "Custom::MultiModelEndpointWarmUp")["Properties"]["Calls"])

    calls = [
        CALL,
        WarmUpCall("churn-2.tar.gz", "1,2", "text/csv"),
        WarmUpCall("churn.tar.gz", "1,3", "text/csv"),
        WarmUpCall("churn.tar.gz", "1,2", "text/plain"),
        WarmUpCall("churn.tar.gz", "1,2", "text/csv", "text/csv"),
    ]
    assert digest(CALL) == digest(WarmUpCall("churn.tar.gz", b"1,2", "text/csv"))
    assert len({digest(call) for call in calls}) == len(calls)


def test_a_function_that_dies_holds_a_deployment_up_for_a_minute(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().warm_up("WarmUp", [CALL], timeout=cdk.Duration.minutes(5))
    assert of_type(stack, "AWS::Lambda::Function")["Properties"]["Timeout"] == 300
    assert of_type(stack, "Custom::MultiModelEndpointWarmUp")["Properties"]["ServiceTimeout"] == "360"


def test_it_has_as_long_as_lambda_has_unless_told_otherwise(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().warm_up("WarmUp", [CALL])
    assert of_type(stack, "AWS::Lambda::Function")["Properties"]["Timeout"] == 900


def test_it_may_call_these_models_of_this_endpoint_alone(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, churn: StoredModel
) -> None:
    endpoint = make_endpoint()
    endpoint.warm_up("WarmUp", [WarmUpCall(churn, "1,2", "text/csv"), CALL, CALL])
    statements = of_type(stack, "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"]
    arn = stack.resolve(endpoint.endpoint_arn)
    assert [(each["Action"], each["Resource"], each.get("Condition")) for each in statements[1:]] == [
        ("sagemaker:DescribeEndpoint", arn, None),
        (
            "sagemaker:InvokeEndpoint",
            arn,
            {"StringLike": {"sagemaker:TargetModel": [churn.target_model, "churn.tar.gz"]}},
        ),
    ]
    assert statements[0]["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_its_log_is_kept_for_a_month(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().warm_up("WarmUp", [CALL])
    group = of_type(stack, "AWS::Logs::LogGroup")
    assert (group["Properties"]["RetentionInDays"], group["DeletionPolicy"]) == (30, "Delete")


def test_a_schedule_calls_it_again_and_again(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    warm_up = endpoint.warm_up("WarmUp", [CALL], schedule=events.Schedule.rate(cdk.Duration.minutes(15)))
    rule = of_type(stack, "AWS::Events::Rule")
    assert rule["Properties"]["ScheduleExpression"] == "rate(15 minutes)"
    (target,) = rule["Properties"]["Targets"]
    assert target["Arn"] == stack.resolve(warm_up.function.function_arn)
    assert rule["DependsOn"] == [stack.get_logical_id(endpoint.endpoint)]
    assert of_type(stack, "AWS::Lambda::Permission")["Properties"]["Principal"] == "events.amazonaws.com"


def test_without_a_schedule_only_updates_call_it(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().warm_up("WarmUp", [CALL])
    assert sorted(each["Type"] for each in added(stack).values()) == [
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "Custom::MultiModelEndpointWarmUp",
    ]


def test_there_can_be_several(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    first, second = endpoint.warm_up("WarmUp", [CALL]), endpoint.warm_up("WarmUpOften", [CALL])
    assert isinstance(first, EndpointWarmUp)
    assert len(added(stack)) == 10
    assert first.role is not second.role


def test_it_changes_nothing_else(make_endpoint: MakeEndpoint) -> None:
    def resources(warm: bool) -> dict[str, Any]:
        stack = cdk.Stack(cdk.App(), "Stack")
        endpoint = make_endpoint(stack)
        if warm:
            endpoint.warm_up("WarmUp", [CALL])
        found = Template.from_stack(stack).to_json()["Resources"]
        return {logical_id: each for logical_id, each in found.items() if "WarmUp" not in logical_id}

    assert resources(warm=True) == resources(warm=False)


def test_a_large_body_is_in_the_code_and_not_in_the_template(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    body = b"\x00" * 6 * 1024**2
    make_endpoint().warm_up("WarmUp", [WarmUpCall("churn.tar.gz", body, "image/png")])
    assert len(json.dumps(added(stack))) < 5000


def test_its_code_is_there_where_assets_are_not_staged(make_endpoint: MakeEndpoint, tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path), context={"aws:cdk:disable-asset-staging": True})
    make_endpoint(cdk.Stack(app, "Stack")).warm_up("WarmUp", [CALL])
    app.synth()
    files = json.loads((tmp_path / "Stack.assets.json").read_text())["files"].values()
    assert [each for each in files if Path(each["source"]["path"], "index.py").is_file()]


Refused = dict[str, tuple[Callable[[], WarmUpCall], str]]
CALLS: Refused = {
    "a number as the model": (lambda: WarmUpCall(5, "1", "text/csv"), "model must be a model of add_model"),  # type: ignore[arg-type]
    "another construct as the model": (lambda: WarmUpCall(cdk.App(), "1", "text/csv"), "model must be a model of"),  # type: ignore[arg-type]
    "a token as the model": (lambda: WarmUpCall(TOKEN, "1", "text/csv"), "model must be known at synth"),
    "a pattern": (lambda: WarmUpCall("a/*", "1", "text/csv"), "must be a single target model, got the pattern 'a/*'"),
    "a policy's variable": (lambda: WarmUpCall("${aws:a}", "1", "text/csv"), "must be a single target model"),
    "no model": (lambda: WarmUpCall("", "1", "text/csv"), "model must be a target model of at most 1024"),
    "a path": (lambda: WarmUpCall("/a.tar.gz", "1", "text/csv"), "relative to the store's prefix, got '/a.tar.gz'"),
    "a long name": (lambda: WarmUpCall("a" * 1025, "1", "text/csv"), "model must be a target model of at most 1024"),
    "a dictionary as the body": (lambda: WarmUpCall("a", {}, "text/csv"), "body must be bytes or a string, got {}"),  # type: ignore[arg-type]
    "a token as the body": (lambda: WarmUpCall("a", TOKEN, "text/csv"), "body must be known at synth"),
    "a large body": (lambda: WarmUpCall("a", b"1" * 6291457, "text/csv"), "at most 6291456 bytes, got 6291457"),
    "no content type": (lambda: WarmUpCall("a", "1", ""), "content_type must be a string such as 'text/csv'"),
    "another header": (lambda: WarmUpCall("a", "1", "text/csv\r\nX: y"), "content_type must be a string such as"),
    "bytes as the content type": (lambda: WarmUpCall("a", "1", b"text/csv"), "content_type must be a string such as"),  # type: ignore[arg-type]
    "a token to accept": (lambda: WarmUpCall("a", "1", "text/csv", TOKEN), "accept must be .* got a token"),
}


@pytest.mark.parametrize("given", CALLS)
def test_refuses_a_call_that_sagemaker_would_not_take(given: str) -> None:
    make, problem = CALLS[given]
    with pytest.raises(InvalidEndpointError, match=problem.replace("*'", r"\*'").replace("{}", r"\{\}")):
        make()


ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "no calls": ({"calls": []}, "calls must not be empty"),
    "a call alone": ({"calls": CALL}, "calls must be a list"),
    "a string": ({"calls": "churn.tar.gz"}, "calls must be a list, got the string"),
    "a tuple for a call": ({"calls": [("a", "b", "c")]}, r"calls\[0\] must be of the kind WarmUpCall"),
    "a construct for a call": ({"calls": [cdk.App()]}, r"calls\[0\] must be of the kind WarmUpCall, got <aws_cdk.App"),
    "names beyond a policy": (
        {"calls": [WarmUpCall(f"{number:01000}", "1", "text/csv") for number in range(9)]},
        "target models of at most 9000 characters together, got 9027",
    ),
    "bodies beyond a function": (
        {"calls": [WarmUpCall("a", bytes([each]) * 6 * 1024**2, "image/png") for each in range(34)]},
        "bodies of at most 209715200 bytes together, got 213909504",
    ),
    "a duration as the schedule": (
        {"schedule": cdk.Duration.minutes(5)},
        r"schedule must be of the kind Schedule, got a Duration: write aws_events.Schedule.rate",
    ),
    "text as the schedule": ({"schedule": "rate(5 minutes)"}, "schedule must be of the kind Schedule"),
    "seconds as the timeout": ({"timeout": 300}, "timeout must be of the kind Duration"),
    "a short timeout": ({"timeout": cdk.Duration.seconds(59)}, "timeout must be 60 to 900 seconds, got 59"),
    "a long timeout": ({"timeout": cdk.Duration.minutes(16)}, "timeout must be 60 to 900 seconds, got 960"),
    "a token as the timeout": (
        {"timeout": cdk.Duration.seconds(cdk.Token.as_number({"Ref": "Given"}))},
        "timeout must be known at synth",
    ),
}


@pytest.mark.parametrize("given", ARGUMENTS)
def test_refuses_what_lambda_or_iam_would_not_take(make_endpoint: MakeEndpoint, given: str) -> None:
    arguments, problem = ARGUMENTS[given]
    with pytest.raises(InvalidEndpointError, match=problem):
        make_endpoint().warm_up("WarmUp", **{"calls": [CALL], **arguments})
