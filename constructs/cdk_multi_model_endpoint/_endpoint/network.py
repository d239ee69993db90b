"""The VPC of an endpoint's containers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from multi_model_endpoint.artifacts.findings import Problem


def check_network(
    vpc: ec2.IVpc | None,
    vpc_subnets: ec2.SubnetSelection | None,
    security_groups: Sequence[ec2.ISecurityGroup] | None,
    allow_all_outbound: bool | None,
) -> Iterator[Problem]:
    """Arguments that make no sense together."""
    if vpc is None:
        given = {
            "vpc_subnets": vpc_subnets,
            "security_groups": security_groups,
            "allow_all_outbound": allow_all_outbound,
        }
        for argument, value in given.items():
            if value is not None:
                yield Problem("vpcMissing", f"{argument} needs a vpc: give the VPC in which the containers are to run")
        return
    if security_groups is not None and allow_all_outbound is not None:
        yield Problem(
            "allowAllOutboundConflict",
            "allow_all_outbound is for the security group made here: set it on your own security_groups instead",
        )


class Network:
    """The subnets and security groups of an endpoint's models."""

    def __init__(
        self,
        scope: Construct,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection | None,
        security_groups: Sequence[ec2.ISecurityGroup] | None,
        allow_all_outbound: bool | None,
    ) -> None:
        if security_groups is None:
            security_groups = [
                ec2.SecurityGroup(
                    scope,
                    "SecurityGroup",
                    vpc=vpc,
                    allow_all_outbound=True if allow_all_outbound is None else allow_all_outbound,
                )
            ]
        self._subnets = (vpc.select_subnets() if vpc_subnets is None else _select(vpc, vpc_subnets)).subnet_ids
        self._security_groups = security_groups
        raise_if_any(scope, validate.vpc(len(self._subnets), len(security_groups)))
        self.connections = ec2.Connections(security_groups=list(security_groups))

    def render(self) -> sagemaker.CfnModel.VpcConfigProperty:
        """The network as the model has it."""
        return sagemaker.CfnModel.VpcConfigProperty(
            subnets=self._subnets, security_group_ids=[group.security_group_id for group in self._security_groups]
        )


def _select(vpc: ec2.IVpc, selection: ec2.SubnetSelection) -> ec2.SelectedSubnets:
    return vpc.select_subnets(
        availability_zones=selection.availability_zones,
        one_per_az=selection.one_per_az,
        subnet_filters=selection.subnet_filters,
        subnet_group_name=selection.subnet_group_name,
        subnets=selection.subnets,
        subnet_type=selection.subnet_type,
    )
