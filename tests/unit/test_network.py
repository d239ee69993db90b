"""VPC, security groups and the key of the volumes."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InvalidEndpointError, ModelStore

from .conftest import MakeEndpoint, resource


@pytest.fixture
def vpc(stack: cdk.Stack) -> ec2.Vpc:
    return ec2.Vpc(stack, "Vpc", max_azs=2)


def vpc_config(stack: cdk.Stack) -> dict[str, Any]:
    found: dict[str, Any] = resource(Template.from_stack(stack), "AWS::SageMaker::Model")["VpcConfig"]
    return found


def actions(stack: cdk.Stack) -> str:
    return str(Template.from_stack(stack).find_resources("AWS::IAM::Policy"))


def test_there_is_none_by_default(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    assert "VpcConfig" not in resource(Template.from_stack(stack), "AWS::SageMaker::Model")
    assert "ec2:" not in actions(stack)
    with pytest.raises(ValueError, match="has no connections: give it a vpc"):
        _ = endpoint.connections


def test_takes_the_private_subnets_and_makes_a_security_group(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc
) -> None:
    endpoint = make_endpoint(vpc=vpc)
    endpoint.connections.allow_to_any_ipv4(ec2.Port.tcp(443))
    config = vpc_config(stack)
    assert config["Subnets"] == stack.resolve(vpc.select_subnets().subnet_ids)
    assert len(config["SecurityGroupIds"]) == 1
    (egress,) = resource(Template.from_stack(stack), "AWS::EC2::SecurityGroup")["SecurityGroupEgress"]
    assert egress["IpProtocol"] == "-1"
    assert "ec2:CreateNetworkInterfacePermission" in actions(stack)


def test_lets_nothing_out_when_told(stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc) -> None:
    make_endpoint(vpc=vpc, allow_all_outbound=False)
    (egress,) = resource(Template.from_stack(stack), "AWS::EC2::SecurityGroup")["SecurityGroupEgress"]
    assert egress["CidrIp"] == "255.255.255.255/32"


def test_takes_given_subnets_and_security_groups(stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc) -> None:
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    make_endpoint(vpc=vpc, vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC), security_groups=[group])
    config = vpc_config(stack)
    assert config["Subnets"] == stack.resolve([subnet.subnet_id for subnet in vpc.public_subnets])
    assert config["SecurityGroupIds"] == [stack.resolve(group.security_group_id)]


def test_can_be_reached_by_its_connections(stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc) -> None:
    database = ec2.SecurityGroup(stack, "Database", vpc=vpc)
    database.connections.allow_from(make_endpoint(vpc=vpc), ec2.Port.tcp(5432))
    Template.from_stack(stack).resource_count_is("AWS::EC2::SecurityGroupIngress", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"vpc_subnets": ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)},
        {"security_groups": []},
        {"allow_all_outbound": False},
    ],
)
def test_refuses_network_arguments_without_a_vpc(make_endpoint: MakeEndpoint, arguments: dict[str, Any]) -> None:
    (argument,) = arguments
    with pytest.raises(InvalidEndpointError, match=f"{argument} needs a vpc"):
        make_endpoint(**arguments)


def test_refuses_outbound_for_security_groups_of_the_users_own(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, vpc: ec2.Vpc
) -> None:
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    with pytest.raises(InvalidEndpointError, match="set it on your own security_groups"):
        make_endpoint(vpc=vpc, security_groups=[group], allow_all_outbound=True)


class TestEncryptionKey:
    def test_is_the_volumes(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        key = kms.Key(stack, "Key")
        make_endpoint(encryption_key=key)
        config = resource(Template.from_stack(stack), "AWS::SageMaker::EndpointConfig")
        assert config["KmsKeyId"] == stack.resolve(key.key_arn)
        assert "kms:CreateGrant" in actions(stack)

    def test_is_refused_with_local_storage_of_a_further_variant(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint
    ) -> None:
        endpoint = make_endpoint(encryption_key=kms.Key(stack, "Key"))
        problem = "encryption_key must not be given with instance_type 'ml.g4dn.xlarge'"
        with pytest.raises(InvalidEndpointError, match=problem):
            endpoint.add_variant("Green", instance_type="ml.g4dn.xlarge", initial_variant_weight=1)

    def test_of_a_store_is_its_buckets(self, stack: cdk.Stack) -> None:
        key = kms.Key(stack, "Key")
        ModelStore(stack, "Models", encryption_key=key)
        (rule,) = resource(Template.from_stack(stack), "AWS::S3::Bucket")["BucketEncryption"][
            "ServerSideEncryptionConfiguration"
        ]
        assert rule["BucketKeyEnabled"] is True
        assert rule["ServerSideEncryptionByDefault"] == {
            "KMSMasterKeyID": stack.resolve(key.key_arn),
            "SSEAlgorithm": "aws:kms",
        }

    def test_of_a_store_is_not_for_an_existing_bucket(self, stack: cdk.Stack) -> None:
        bucket = cdk.aws_s3.Bucket.from_bucket_name(stack, "Bucket", "existing")
        with pytest.raises(InvalidEndpointError, match="must not be given with bucket"):
            ModelStore(stack, "Models", bucket=bucket, encryption_key=kms.Key(stack, "Key"))
