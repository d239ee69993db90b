"""The dashboard and the alarms."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import AlarmThresholds, InferenceImage, InvalidEndpointError

from .conftest import MakeEndpoint, resource

NONE = AlarmThresholds(
    invocation_5xx_ratio=None,
    model_latency=None,
    model_cache_hit_ratio=None,
    model_loading_wait_time=None,
    model_unloads=None,
    disk_utilization_percent=None,
)


def alarms(stack: cdk.Stack) -> dict[str, dict[str, Any]]:
    """The alarms' properties by what they watch."""
    found = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
    return {alarm["Properties"]["MetricName"]: alarm["Properties"] for alarm in found}


def widgets(stack: cdk.Stack) -> list[dict[str, Any]]:
    (dashboard,) = Template.from_stack(stack).find_resources("AWS::CloudWatch::Dashboard").values()
    body = dashboard["Properties"]["DashboardBody"]
    text = body if isinstance(body, str) else "".join(p if isinstance(p, str) else "X" for p in body["Fn::Join"][1])
    found: list[dict[str, Any]] = json.loads(text)["widgets"]
    return found


def shown(stack: cdk.Stack) -> set[str]:
    """The names of the metrics that the dashboard reads."""
    entries = [entry for widget in widgets(stack) for entry in widget["properties"]["metrics"]]
    return {entry[1] for entry in entries if isinstance(entry[0], str)}


def test_alarms_by_default(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    monitoring = make_endpoint().monitor("Monitoring")
    found = alarms(stack)
    assert len(monitoring.alarms) == len(found)
    assert {name: (a.get("Statistic") or a["ExtendedStatistic"], a["Threshold"]) for name, a in found.items()} == {
        "Invocation5XXErrors": ("Average", 0.01),
        "ModelLatency": ("p99", 10_000_000),
        "ModelLoadingWaitTime": ("p99", 30_000_000),
        "ModelCacheHit": ("Average", 0.5),
        "ModelUnloadingTime": ("SampleCount", 100),
        "DiskUtilization": ("Maximum", 90),
    }
    assert found["ModelCacheHit"]["ComparisonOperator"] == "LessThanThreshold"
    assert found["ModelLatency"]["ComparisonOperator"] == "GreaterThanThreshold"
    assert {alarm["TreatMissingData"] for alarm in found.values()} == {"notBreaching"}
    assert found["Invocation5XXErrors"]["Period"] == 60
    assert {alarm["Period"] for name, alarm in found.items() if name != "Invocation5XXErrors"} == {300}


def test_there_is_no_alarm_on_memory(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().monitor("Monitoring")
    assert "MemoryUtilization" not in alarms(stack)


def test_thresholds_can_be_changed_and_left_out(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    thresholds = AlarmThresholds(model_latency=cdk.Duration.millis(250), model_unloads=None, invocation_5xx_ratio=0)
    make_endpoint().monitor("Monitoring", thresholds=thresholds)
    found = alarms(stack)
    assert found["ModelLatency"]["Threshold"] == 250_000
    assert found["Invocation5XXErrors"]["Threshold"] == 0
    assert "ModelUnloadingTime" not in found


def test_all_alarms_can_be_left_out(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    monitoring = make_endpoint().monitor("Monitoring", thresholds=NONE)
    assert not monitoring.alarms
    assert not alarms(stack)


def test_without_a_cache_there_are_no_alarms_on_it(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(model_cache=False).monitor("Monitoring")
    assert {"ModelCacheHit", "ModelUnloadingTime"}.isdisjoint(alarms(stack))


def test_alarms_are_for_each_variant(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    endpoint.add_variant("Green", instance_type="ml.c5.large", initial_variant_weight=1)
    monitoring = endpoint.monitor("Monitoring")
    assert len(monitoring.alarms) == 12
    assert len(monitoring.error_alarms) == 2
    assert len(widgets(stack)) == 12


@pytest.mark.parametrize("through", ["topic", "action"])
def test_alarms_act(stack: cdk.Stack, make_endpoint: MakeEndpoint, through: str) -> None:
    topic = sns.Topic(stack, "Topic")
    if through == "topic":
        make_endpoint().monitor("Monitoring", alarm_topic=topic)
    else:
        make_endpoint().monitor("Monitoring").add_alarm_action(actions.SnsAction(topic))
    for alarm in alarms(stack).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [stack.resolve(topic.topic_arn)]


def test_error_alarms_are_good_rollback_alarms(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    endpoint.add_rollback_alarms(*endpoint.monitor("Monitoring").error_alarms)
    Template.from_stack(stack).resource_count_is("AWS::CloudWatch::Alarm", 6)


def test_dashboard_shows_the_metrics_of_the_page(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().monitor("Monitoring")
    assert shown(stack) == {
        "Invocations",
        "InvocationsPerInstance",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
        "InvocationModelErrors",
        "ModelLatency",
        "OverheadLatency",
        "ModelLoadingWaitTime",
        "ModelDownloadingTime",
        "ModelLoadingTime",
        "LoadedModelCount",
        "ModelUnloadingTime",
        "ModelCacheHit",
        "CPUUtilization",
        "MemoryUtilization",
        "DiskUtilization",
    }


def test_dashboard_shows_gpus_where_there_are_some(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(instance_type="ml.g4dn.xlarge", image=InferenceImage.triton("24.09")).monitor("Monitoring")
    assert {"GPUUtilization", "GPUMemoryUtilization"} <= shown(stack)


def test_dashboard_is_two_rows_of_three_graphs(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().monitor("Monitoring")
    assert [(widget["x"], widget["y"]) for widget in widgets(stack)] == [(x, y) for y in (0, 6) for x in (0, 8, 16)]


def test_dashboard_shows_times_in_units_that_people_read(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().monitor("Monitoring")
    graphs = {widget["properties"]["title"].partition(": ")[2]: widget["properties"] for widget in widgets(stack)}
    for title, unit, divisor in [("latency", "milliseconds", 1_000), ("loading", "seconds", 1_000_000)]:
        assert graphs[title]["yAxis"]["left"]["label"] == unit
        visible = [entry[-1] for entry in graphs[title]["metrics"] if entry[-1].get("visible", True)]
        hidden = [entry[-1]["id"] for entry in graphs[title]["metrics"] if not entry[-1].get("visible", True)]
        assert [entry["expression"] for entry in visible] == [f"{key} / {divisor}" for key in hidden]


def test_ratios_have_an_axis_of_their_own(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint().monitor("Monitoring")
    on_the_right = [
        (entry[1], widget["properties"]["yAxis"]["right"])
        for widget in widgets(stack)
        for entry in widget["properties"]["metrics"]
        if entry[-1].get("yAxis") == "right"
    ]
    assert on_the_right == [("ModelCacheHit", {"label": "ratio", "min": 0, "max": 1, "showUnits": False})]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("invocation_5xx_ratio", -0.1),
        ("invocation_5xx_ratio", 1),
        ("invocation_5xx_ratio", 5),
        ("model_cache_hit_ratio", 0),
        ("model_cache_hit_ratio", 50),
        ("model_unloads", -1),
        ("disk_utilization_percent", 100),
        ("disk_utilization_percent", -1),
        ("model_latency", cdk.Duration.seconds(0)),
        ("model_loading_wait_time", cdk.Duration.millis(0)),
    ],
)
def test_refuses_thresholds_of_alarms_that_are_raised_always_or_never(argument: str, value: Any) -> None:
    with pytest.raises(InvalidEndpointError, match=rf"^AlarmThresholds is not valid:\n  - {argument} must be "):
        AlarmThresholds(**{argument: value})


def test_thresholds_may_be_tokens_but_for_times(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    with pytest.raises(InvalidEndpointError, match="model_latency must be known at synth, got a token"):
        AlarmThresholds(model_latency=cdk.Duration.millis(number))
    thresholds = AlarmThresholds(
        invocation_5xx_ratio=number, model_cache_hit_ratio=number, model_unloads=number, disk_utilization_percent=number
    )
    make_endpoint().monitor("Monitoring", thresholds=thresholds)
    assert [alarm["Threshold"] for alarm in alarms(stack).values()].count({"Ref": "Number"}) == 4


def test_a_variant_whose_name_is_a_token_is_monitored(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    name, other = (cdk.CfnParameter(stack, each).value_as_string for each in ("Name", "Other"))
    endpoint = make_endpoint(variant_name=name)
    endpoint.add_variant(other, instance_type="ml.m5.xlarge", initial_variant_weight=1)
    assert len(endpoint.monitor("Monitoring").alarms) == 12
    dashboard = resource(Template.from_stack(stack), "AWS::CloudWatch::Dashboard")
    assert {"Ref": "Name"} in dashboard["DashboardBody"]["Fn::Join"][1]
