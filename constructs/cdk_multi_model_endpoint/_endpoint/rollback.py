"""Alarms that roll an update back."""

from __future__ import annotations

from collections.abc import Iterator

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk_multi_model_endpoint._models.bucket import place_problems
from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.places import place_of
from multi_model_endpoint.artifacts.findings import Problem

from .policy_size import count_policy


class RollbackAlarms:
    """The alarms that an endpoint's updates are watched by, and the permission to look at them.

    The permission is a policy of its own, for which the Endpoint waits. In the role's main policy, for which the Model
    waits, an alarm on the endpoint's configuration would close a cycle.

    Attributes:
        policy: That policy, None as long as nothing needs it.
    """

    def __init__(self, scope: Construct, role: iam.IRole | None, endpoint: sagemaker.CfnEndpoint) -> None:
        self._scope = scope
        self._role = role
        self._endpoint = endpoint
        self._names: list[str] = []
        self.policy: iam.Policy | None = None

    def add(self, *alarms: cloudwatch.IAlarm) -> None:
        """Watch these alarms, too."""
        names = [*self._names, *(alarm.alarm_name for alarm in alarms)]
        problems = [*validate.rollback_alarms(names)]
        arns = [alarm.alarm_arn for alarm in alarms]
        for alarm, arn in zip(alarms, arns, strict=True):
            problems += self._place_problems(alarm, arn)
        raise_if_any(self._scope, problems)
        self._names = names
        if self._role is None:
            return  # it can't be changed from here, and a policy of nobody can't be deployed
        if self.policy is None:
            self._statement = iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=arns)
            self.policy = iam.Policy(self._scope, "RollbackPolicy", statements=[self._statement], roles=[self._role])
            count_policy(self._scope, self._role, self.policy)
            self._endpoint.node.add_dependency(self.policy)
        else:
            self._statement.add_resources(*arns)

    def render(self) -> sagemaker.CfnEndpoint.AutoRollbackConfigProperty:
        """The alarms as the endpoint's deployment configuration has them."""
        return sagemaker.CfnEndpoint.AutoRollbackConfigProperty(
            alarms=[sagemaker.CfnEndpoint.AlarmProperty(alarm_name=name) for name in self._names]
        )

    def _place_problems(self, alarm: cloudwatch.IAlarm, arn: str) -> Iterator[Problem]:
        place = place_of(self._scope)
        parts = arn.split(":")
        if len(parts) > 5:  # the CDK does not read them from an imported one's ARN
            yield from place_problems("rollback alarms", place, parts[3], parts[4])
        elif place_of(alarm) is not place:
            yield from place_problems("rollback alarms", place, alarm.env.region, alarm.env.account)
