"""The dashboard's tables of models, and what their queries make of a call log."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_logs as logs
from aws_cdk.assertions import Annotations, Match, Template

from cdk_multi_model_endpoint import InvalidEndpointError
from mme_local.testing import LocalEndpoint
from multi_model_endpoint.calling.call_log import Entry
from multi_model_endpoint.calling.deadlines import Call

from .conftest import MakeEndpoint
from .insights import run

NOW = 1_800_000_000
ARN = "arn:aws:logs:{}:{}:log-group:/calls"


def line(target_model: str | None, minutes_ago: int, milliseconds: float, **fields: Any) -> dict[str, Any]:
    """What the client writes of a call, as Insights discovers it."""
    return {
        "@timestamp": (NOW - 60 * minutes_ago) * 1000,
        "event": "mme.call",
        "endpoint": "mine",
        "alias": None,
        "target_model": target_model,
        "variant": "AllTraffic",
        "status": 200,
        "error": None,
        "attempts": 1,
        "milliseconds": milliseconds,
        **fields,
    }


CALLS = [
    *(line("often.tar.gz", minutes, 10 + minutes % 2) for minutes in range(1, 11)),
    line("slow.tar.gz", 30, 900),
    line("slow.tar.gz", 20, 5000),
    line("failing.tar.gz", 5, 60, status=424, error="ModelError"),
    line("failing.tar.gz", 4, 60, status=424, error="ModelError"),
    line("failing.tar.gz", 3, 60, status=429, error="ModelNotReadyException", attempts=3),
    line(None, 60, 5, alias="unknown", status=None, error="AliasNotFound", variant=None),
    line("cold.tar.gz", 170, 40, alias="cold@prod"),
    line("other.tar.gz", 1, 90_000, endpoint="another"),
    {"@timestamp": NOW * 1000, "@message": "START RequestId: 1"},
]


def tables(stack: cdk.Stack) -> dict[str, dict[str, Any]]:
    """The properties of the dashboard's log widgets, by title."""
    (dashboard,) = Template.from_stack(stack).find_resources("AWS::CloudWatch::Dashboard").values()
    body = dashboard["Properties"]["DashboardBody"]
    text = body if isinstance(body, str) else "".join(p if isinstance(p, str) else "X" for p in body["Fn::Join"][1])
    widgets = json.loads(text)["widgets"]
    return {each["properties"]["title"]: each["properties"] for each in widgets if each["type"] == "log"}


@pytest.fixture
def calls(stack: cdk.Stack) -> logs.ILogGroup:
    return logs.LogGroup.from_log_group_name(stack, "Calls", "/calls")


def rows(stack: cdk.Stack, make_endpoint: MakeEndpoint, calls: logs.ILogGroup, title: str) -> list[dict[str, Any]]:
    make_endpoint(endpoint_name="mine").monitor("Monitoring", call_log=calls)
    source, _, query = tables(stack)[title]["query"].partition(" | ")
    assert source == "SOURCE '/calls'"
    return run(query, CALLS, NOW)


def test_slowest_models_are_those_whose_callers_wait_longest(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, calls: logs.ILogGroup
) -> None:
    found = rows(stack, make_endpoint, calls, "slowest models, milliseconds")
    assert found[:2] == [
        {"model": "slow.tar.gz", "p99": 5000, "p50": 900, "calls": 2},
        {"model": "failing.tar.gz", "p99": 60, "p50": 60, "calls": 3},
    ]


def test_most_called_models_are_counted(stack: cdk.Stack, make_endpoint: MakeEndpoint, calls: logs.ILogGroup) -> None:
    found = rows(stack, make_endpoint, calls, "most called models")
    assert found[0] == {"model": "often.tar.gz", "calls": 10, "average_milliseconds": 10.5}
    assert [each["calls"] for each in found] == [10, 3, 2, 1, 1]


def test_most_failing_models_are_shown_with_the_errors(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, calls: logs.ILogGroup
) -> None:
    assert rows(stack, make_endpoint, calls, "most failing models") == [
        {"model": "failing.tar.gz", "error": "ModelError", "failures": 2},
        {"model": "failing.tar.gz", "error": "ModelNotReadyException", "failures": 1},
        {"model": "unknown", "error": "AliasNotFound", "failures": 1},
    ]


def test_coldest_models_are_those_not_called_for_longest(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, calls: logs.ILogGroup
) -> None:
    found = rows(stack, make_endpoint, calls, "coldest models")
    assert [(each["model"], each["minutes_since_last_call"]) for each in found] == [
        ("cold.tar.gz", 170),
        ("unknown", 60),
        ("slow.tar.gz", 20),
        ("failing.tar.gz", 3),
        ("often.tar.gz", 1),
    ]


def test_the_client_writes_what_the_tables_read() -> None:
    entry = Entry("mine", "churn@prod", "churn.tar.gz", "AllTraffic", 200, "ModelError")
    written = json.loads(entry.line(Call(1, idempotent=True)))
    expected = line("churn.tar.gz", 0, 100)
    assert {*written} == {*expected} - {"@timestamp"}
    assert written["event"] == expected["event"]


def test_the_local_cloudwatch_logs_takes_the_queries(
    stack: cdk.Stack,
    make_endpoint: MakeEndpoint,
    calls: logs.ILogGroup,
    control_plane: LocalEndpoint,
    unique: Any,
) -> None:
    make_endpoint(endpoint_name="mine").monitor("Monitoring", call_log=calls)
    client = control_plane.client("logs")
    group = unique("/calls")
    client.create_log_group(logGroupName=group)
    for table in tables(stack).values():
        _, _, query = table["query"].partition(" | ")
        started = client.start_query(logGroupName=group, startTime=0, endTime=NOW, queryString=query)
        assert client.get_query_results(queryId=started["queryId"])["status"] == "Complete"


def test_without_a_call_log_there_are_no_tables(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().monitor("Monitoring")
    assert tables(stack) == {}


def test_a_log_group_of_the_stack_is_referred_to(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(endpoint_name="mine").monitor("Monitoring", call_log=logs.LogGroup(stack, "Calls"))
    assert {table["query"].partition(" | ")[0] for table in tables(stack).values()} == {"SOURCE 'X'"}


def test_a_log_group_is_shown_from_its_own_region(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    calls = logs.LogGroup.from_log_group_arn(stack, "Calls", ARN.format("eu-central-1", "123456789012"))
    make_endpoint().monitor("Monitoring", call_log=calls)
    assert {table["region"] for table in tables(stack).values()} == {"eu-central-1"}
    Annotations.from_stack(stack).has_no_warning("*", Match.string_like_regexp("call_log"))


def test_a_log_group_of_another_account_gets_a_warning(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    calls = logs.LogGroup.from_log_group_arn(stack, "Calls", ARN.format("us-west-2", "999999999999"))
    make_endpoint().monitor("Monitoring", call_log=calls)
    assert {table["accountId"] for table in tables(stack).values()} == {"999999999999"}
    Annotations.from_stack(stack).has_warning(
        "/Stack/Endpoint/Monitoring",
        Match.string_like_regexp("call_log is in account 999999999999: .*crossAccountCallLog"),
    )


def test_a_name_is_no_log_group(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(InvalidEndpointError, match="call_log must be of the kind ILogGroup, got the string '/calls'"):
        make_endpoint().monitor("Monitoring", call_log="/calls")  # type: ignore[arg-type]
