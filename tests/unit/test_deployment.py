"""Deployment policies and rollback alarms."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Annotations, Match, Template

from cdk_multi_model_endpoint import DeploymentPolicy, InvalidEndpointError

from .conftest import MakeEndpoint, messages, resource

MINUTES = cdk.Duration.minutes
SECONDS = cdk.Duration.seconds
NUMBER_TOKEN: Any = cdk.Token.as_number(cdk.Fn.ref("Count"))


def deployment_config(stack: cdk.Stack) -> Any:
    return resource(Template.from_stack(stack), "AWS::SageMaker::Endpoint").get("DeploymentConfig")


def test_is_sagemakers_own_by_default(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint()
    assert deployment_config(stack) is None


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            DeploymentPolicy.all_at_once(termination_wait=MINUTES(1), maximum_execution_time=MINUTES(30)),
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
                    "TerminationWaitInSeconds": 60,
                    "MaximumExecutionTimeoutInSeconds": 1800,
                }
            },
        ),
        (
            DeploymentPolicy.canary(percent=10, wait=MINUTES(5)),
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
                        "WaitIntervalInSeconds": 300,
                    }
                }
            },
        ),
        (
            DeploymentPolicy.linear(instances=1, wait=MINUTES(5)),
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "LINEAR",
                        "LinearStepSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                        "WaitIntervalInSeconds": 300,
                    }
                }
            },
        ),
        (
            DeploymentPolicy.rolling(percent=50, wait=MINUTES(5), maximum_execution_time=MINUTES(30)),
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                    "WaitIntervalInSeconds": 300,
                    "MaximumExecutionTimeoutInSeconds": 1800,
                }
            },
        ),
    ],
)
def test_renders(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, policy: DeploymentPolicy, expected: dict[str, Any]
) -> None:
    make_endpoint(deployment=policy)
    assert deployment_config(stack) == expected


def test_is_made_by_its_kinds_alone() -> None:
    nonsense: Any = DeploymentPolicy
    with pytest.raises(TypeError):
        nonsense()
    with pytest.raises(TypeError):
        nonsense(strategy="blue")


@pytest.mark.parametrize("policy", [DeploymentPolicy.canary, DeploymentPolicy.linear, DeploymentPolicy.rolling])
def test_a_policy_in_steps_needs_a_wait(policy: Any) -> None:
    with pytest.raises(InvalidEndpointError, match="wait must be of the kind Duration, got None"):
        policy(wait=None, percent=10)


@pytest.mark.parametrize(
    ("policy", "count", "problem"),
    [
        (DeploymentPolicy.canary(percent=51, wait=MINUTES(1)), 4, "canary percent must be 1 to 50 percent, got 51"),
        (DeploymentPolicy.linear(percent=9, wait=MINUTES(1)), 4, "linear percent must be 10 to 50 percent, got 9"),
        (DeploymentPolicy.rolling(percent=4, wait=MINUTES(1)), 4, "rolling percent must be 5 to 50 percent, got 4"),
        (DeploymentPolicy.canary(instances=3, wait=MINUTES(1)), 4, "instances must be 1 to 2 for 4 instances, got 3"),
        (DeploymentPolicy.canary(instances=0, wait=MINUTES(1)), 4, "instances must be 1 to 2 for 4 instances, got 0"),
        (
            DeploymentPolicy.linear(instances=1, wait=MINUTES(1)),
            20,
            "instances must be 2 to 10 for 20 instances, got 1",
        ),
        (DeploymentPolicy.canary(wait=MINUTES(1)), 4, "canary needs either percent or instances"),
        (
            DeploymentPolicy.canary(percent=10, instances=1, wait=MINUTES(1)),
            4,
            "either percent or instances, got 10, 1",
        ),
        (
            DeploymentPolicy.canary(percent=50, wait=MINUTES(1)),
            1,
            "must be all_at_once for a variant with one instance",
        ),
        (
            DeploymentPolicy.rolling(percent=50, wait=MINUTES(1)),
            1,
            "must be all_at_once for a variant with one instance",
        ),
        (DeploymentPolicy.canary(percent=50, wait=MINUTES(61)), 4, "wait must be 0 to 3600 seconds, got 3660"),
        (DeploymentPolicy.all_at_once(termination_wait=MINUTES(61)), 4, "termination_wait must be 0 to 3600 seconds"),
        (DeploymentPolicy.all_at_once(maximum_execution_time=SECONDS(599)), 4, "must be 600 to 28800 seconds, got 599"),
        (
            DeploymentPolicy.linear(percent=10, wait=MINUTES(2), maximum_execution_time=MINUTES(18)),
            4,
            "more than the waits' 1080 seconds, got 1080",
        ),
    ],
)
def test_refuses(make_endpoint: MakeEndpoint, policy: DeploymentPolicy, count: int, problem: str) -> None:
    with pytest.raises(InvalidEndpointError, match=problem):
        make_endpoint(deployment=policy, initial_instance_count=count)


@pytest.mark.parametrize(
    ("strategy", "instances", "count", "bounds"),
    [
        ("linear", 2, 25, "3 to 12"),
        ("linear", 13, 25, "3 to 12"),
        ("canary", 51, 101, "2 to 50"),
        ("rolling", 1, 40, "2 to 20"),
    ],
)
def test_rounds_the_bounds_of_a_step_inwards(strategy: str, instances: int, count: int, bounds: str) -> None:
    policy = getattr(DeploymentPolicy, strategy)(instances=instances, wait=MINUTES(1))
    assert messages(policy._problems([count])) == [
        f"deployment {strategy} instances must be {bounds} for {count} instances, got {instances}"
    ]


@pytest.mark.parametrize(
    ("strategy", "options", "counts", "seconds"),
    [
        ("canary", {"percent": 10, "wait": MINUTES(20), "termination_wait": MINUTES(11)}, [4], 1860),
        ("canary", {"instances": 1, "wait": MINUTES(20)}, [4], 1200),
        ("linear", {"percent": 30, "wait": MINUTES(10), "termination_wait": MINUTES(1)}, [4], 1860),
        ("linear", {"instances": 1, "wait": MINUTES(10)}, [4], 1800),
        ("canary", {"percent": 10, "wait": SECONDS(0), "termination_wait": MINUTES(20)}, [4], 1200),
        ("linear", {"percent": 33, "wait": MINUTES(10)}, [4], 1800),
        ("linear", {"instances": 1, "wait": MINUTES(10)}, [3], 1200),
        ("linear", {"instances": 50, "wait": MINUTES(10)}, [101], 1200),
        ("linear", {"instances": 2, "wait": MINUTES(10)}, [9], 2400),
        ("linear", {"instances": 2, "wait": MINUTES(10)}, [20], 5400),
        ("linear", {"instances": 2, "wait": MINUTES(20)}, [10, 4], 1200),
        ("linear", {"instances": 2, "wait": MINUTES(20)}, [NUMBER_TOKEN, 4], 1200),
        ("linear", {"instances": 2, "wait": MINUTES(20), "termination_wait": MINUTES(15)}, [NUMBER_TOKEN], 900),
        ("rolling", {"percent": 50, "wait": MINUTES(20)}, [4], 1200),
        ("rolling", {"instances": 3, "wait": MINUTES(10)}, [7], 1200),
    ],
)
def test_needs_more_time_than_its_waits_take(
    strategy: str, options: dict[str, Any], counts: list[int], seconds: int
) -> None:
    def problems(maximum: int) -> list[str]:
        policy = getattr(DeploymentPolicy, strategy)(**options, maximum_execution_time=SECONDS(maximum))
        return messages(policy._problems(counts))

    for maximum in (seconds - 60, seconds):
        assert problems(maximum) == [
            f"deployment maximum_execution_time must be more than the waits' {seconds} seconds, got {maximum}"
        ]
    assert problems(seconds + 1) == []


def test_looks_at_the_variants_after_one_whose_count_is_a_token() -> None:
    (problem,) = DeploymentPolicy.canary(percent=50, wait=MINUTES(1))._problems([NUMBER_TOKEN, 1])
    assert problem.startswith("deployment must be all_at_once for a variant with one instance, got canary")


@pytest.mark.parametrize("strategy", ["canary", "linear", "rolling"])
@pytest.mark.parametrize("step", ["percent", "instances"])
def test_refuses_a_step_of_nothing(strategy: str, step: str) -> None:
    policy = getattr(DeploymentPolicy, strategy)(wait=MINUTES(1), maximum_execution_time=MINUTES(479), **{step: 0})
    (problem,) = policy._problems([4])
    assert problem.startswith(f"deployment {strategy} {step} must be ")


@pytest.mark.parametrize("policy", [DeploymentPolicy.canary, DeploymentPolicy.linear, DeploymentPolicy.rolling])
def test_leaves_the_refusal_of_no_instances_to_the_count(make_endpoint: MakeEndpoint, policy: Any) -> None:
    with pytest.raises(InvalidEndpointError) as caught:
        make_endpoint(deployment=policy(instances=1, wait=MINUTES(1)), initial_instance_count=0)
    assert messages(caught.value.problems) == ["initial_instance_count must be at least 1, got 0"]


def test_refuses_rolling_for_a_second_variant(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint(deployment=DeploymentPolicy.rolling(percent=50, wait=MINUTES(1)))
    with pytest.raises(InvalidEndpointError, match="must not be rolling for several variants, got 2: use linear"):
        endpoint.add_variant("Green", instance_type="ml.m5.large", initial_variant_weight=1)


def test_leaves_tokens_to_cloudformation(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    policy = DeploymentPolicy.canary(
        instances=1, wait=SECONDS(number), termination_wait=SECONDS(number), maximum_execution_time=SECONDS(number)
    )
    make_endpoint(deployment=policy, initial_instance_count=number)
    assert deployment_config(stack)["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] == {"Ref": "Number"}


@pytest.mark.parametrize(
    ("policy", "warned"),
    [(DeploymentPolicy.all_at_once(), 0), (DeploymentPolicy.canary(percent=50, wait=MINUTES(1)), 1)],
)
def test_warns_where_awss_pages_disagree(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, policy: DeploymentPolicy, warned: int
) -> None:
    make_endpoint(deployment=policy)
    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("deploymentPolicyUndocumented"))
    assert len(found) == warned


class TestRollbackAlarms:
    def alarm(self, scope: cdk.Stack, metric: cloudwatch.Metric, construct_id: str = "Alarm") -> cloudwatch.Alarm:
        return metric.create_alarm(scope, construct_id, threshold=1, evaluation_periods=1)

    def test_roll_back_all_at_once_by_default(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        endpoint = make_endpoint()
        alarm = self.alarm(stack, endpoint.default_variant.metric_invocation_model_errors())
        endpoint.add_rollback_alarms(alarm)
        assert deployment_config(stack) == {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": stack.resolve(alarm.alarm_name)}]},
        }

    def test_keep_the_deployment_policy(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        endpoint = make_endpoint(deployment=DeploymentPolicy.rolling(percent=50, wait=MINUTES(1)))
        for name in ("One", "Two"):
            endpoint.add_rollback_alarms(self.alarm(stack, endpoint.default_variant.metric_invocations(), name))
        config = deployment_config(stack)
        assert "RollingUpdatePolicy" in config
        assert len(config["AutoRollbackConfiguration"]["Alarms"]) == 2

    def test_may_be_looked_at_by_a_policy_that_only_the_endpoint_waits_for(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        endpoint = make_endpoint()
        alarm = self.alarm(stack, endpoint.default_variant.metric_invocations())
        endpoint.add_rollback_alarms(alarm)
        template = Template.from_stack(stack)
        (policy_id,) = [
            logical_id for logical_id in template.find_resources("AWS::IAM::Policy") if "Rollback" in logical_id
        ]
        (statement,) = template.to_json()["Resources"][policy_id]["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Action"] == "cloudwatch:DescribeAlarms"
        assert statement["Resource"] == stack.resolve(alarm.alarm_arn)
        template.has_resource("AWS::SageMaker::Endpoint", {"DependsOn": [policy_id]})
        (model,) = template.find_resources("AWS::SageMaker::Model").values()
        assert policy_id not in model["DependsOn"]

    def test_make_no_cycle_with_an_alarm_on_the_new_configuration(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        endpoint = make_endpoint()
        metric = endpoint.default_variant.metric_invocation_model_errors(
            dimensions_map={"EndpointConfigName": endpoint.endpoint_config.attr_endpoint_config_name}
        )
        endpoint.add_rollback_alarms(self.alarm(stack, metric))
        Template.from_stack(stack)  # raises on a cycle

    def test_may_be_in_another_stack(self, make_endpoint: MakeEndpoint) -> None:
        app = cdk.App()
        stack, other = cdk.Stack(app, "Endpoints"), cdk.Stack(app, "Alarms")
        endpoint = make_endpoint(stack)
        endpoint.add_rollback_alarms(self.alarm(other, endpoint.default_variant.metric_invocations()))
        assert "AutoRollbackConfiguration" in deployment_config(stack)
        assert stack.dependencies == [other]

    def test_are_ten_at_most(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        endpoint = make_endpoint()
        alarm = self.alarm(stack, endpoint.default_variant.metric_invocations())
        with pytest.raises(InvalidEndpointError, match="1 to 10 rollback alarms, got 11"):
            endpoint.add_rollback_alarms(*[alarm] * 11)
        with pytest.raises(InvalidEndpointError, match="1 to 10 rollback alarms, got 0"):
            endpoint.add_rollback_alarms()

    def test_work_with_a_given_role(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        role = iam.Role.from_role_arn(stack, "Given", "arn:aws:iam::123456789012:role/given", mutable=False)
        endpoint = make_endpoint(role=role)
        endpoint.add_rollback_alarms(self.alarm(stack, endpoint.default_variant.metric_invocations()))
        Template.from_stack(stack).resource_count_is("AWS::IAM::Policy", 0)


@pytest.mark.parametrize("step", ["percent", "instances"])
def test_a_step_that_is_a_token_is_not_calculated_with(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, step: str
) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    steps: dict[str, Any] = {step: number}
    policy = DeploymentPolicy.linear(
        wait=cdk.Duration.minutes(5), maximum_execution_time=cdk.Duration.minutes(30), **steps
    )
    make_endpoint(deployment=policy, initial_instance_count=20)
    config = resource(Template.from_stack(stack), "AWS::SageMaker::Endpoint")["DeploymentConfig"]
    routing = config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["LinearStepSize"]["Value"] == {"Ref": "Number"}


def test_waits_must_be_in_whole_seconds(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    for wait in (cdk.Duration.millis(1500), cdk.Duration.minutes(number)):
        with pytest.raises(InvalidEndpointError, match="deployment wait must be given in whole seconds: "):
            make_endpoint(construct_id=f"E{id(wait)}", deployment=DeploymentPolicy.canary(wait=wait, percent=10))
