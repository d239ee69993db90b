"""The types of a default VPC and of its connections."""

from __future__ import annotations

from typing import Any

import pytest

TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}},
        "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
        "Gateway": {
            "Type": "AWS::EC2::NatGateway",
            "Properties": {
                "SubnetId": {"Ref": "Subnet"},
                "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]},
            },
        },
    },
    "Outputs": {
        "Ip": {"Value": {"Ref": "Address"}},
        "Allocation": {"Value": {"Fn::GetAtt": ["Address", "AllocationId"]}},
        "Gateway": {"Value": {"Ref": "Gateway"}},
    },
}


@pytest.fixture
def ec2(control_plane: Any) -> Any:
    return control_plane.client("ec2")


def tagged(value: str) -> dict[str, Any]:
    resources = {**TEMPLATE["Resources"]}
    for name in ("Address", "Gateway"):
        properties = {**resources[name]["Properties"], "Tags": [{"Key": "Name", "Value": value}]}
        resources[name] = {**resources[name], "Properties": properties}
    return {**TEMPLATE, "Resources": resources}


def test_a_stack_has_addresses_and_nat_gateways(stack: Any, ec2: Any) -> None:
    def gateway() -> dict[str, Any]:
        found: dict[str, Any]
        (found,) = ec2.describe_nat_gateways(NatGatewayIds=[outputs["Gateway"]])["NatGateways"]
        return found

    def address() -> list[dict[str, Any]]:
        return [a for a in ec2.describe_addresses()["Addresses"] if a["PublicIp"] == outputs["Ip"]]

    assert stack.create(tagged("first")) == "CREATE_COMPLETE"
    outputs = stack.outputs
    assert (gateway()["State"], gateway()["SubnetId"]) == ("available", stack.physical_id("Subnet"))
    assert [found["AllocationId"] for found in address()] == [outputs["Allocation"]]
    assert stack.update(tagged("second")) == "UPDATE_COMPLETE"
    assert stack.outputs == outputs, "tags replace nothing"
    for resource in (gateway(), *address()):
        assert {"Key": "Name", "Value": "second"} in resource["Tags"]
    stack.delete()
    assert gateway()["State"] == "deleted"
    assert address() == []


def test_a_gateway_in_another_subnet_is_another_gateway(stack: Any) -> None:
    stack.create(TEMPLATE)
    before = stack.outputs
    subnet = {**TEMPLATE["Resources"]["Subnet"]["Properties"], "CidrBlock": "10.0.1.0/24"}
    moved = {**TEMPLATE, "Resources": {**TEMPLATE["Resources"]}}
    moved["Resources"]["Other"] = {"Type": "AWS::EC2::Subnet", "Properties": subnet}
    properties = {**TEMPLATE["Resources"]["Gateway"]["Properties"], "SubnetId": {"Ref": "Other"}}
    moved["Resources"]["Gateway"] = {"Type": "AWS::EC2::NatGateway", "Properties": properties}
    assert stack.update(moved) == "UPDATE_COMPLETE"
    assert stack.outputs["Gateway"] != before["Gateway"]
    assert stack.outputs["Ip"] == before["Ip"]


def test_a_gateway_needs_a_subnet(stack: Any) -> None:
    template = {"Resources": {"Gateway": {"Type": "AWS::EC2::NatGateway", "Properties": {"VpcId": "vpc-1"}}}}
    assert stack.create(template) == "ROLLBACK_COMPLETE"
    assert any("SubnetId is required" in reason for reason in stack.reasons())


def connected(port: int, **rule: Any) -> dict[str, Any]:
    group = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "g", "VpcId": {"Ref": "Vpc"}}}
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **rule}
    ends = {"GroupId": {"Ref": "Called"}, "SourceSecurityGroupId": {"Ref": "Caller"}}
    back = {"GroupId": {"Ref": "Caller"}, "DestinationSecurityGroupId": {"Ref": "Called"}}
    return {
        "Resources": {
            "Vpc": TEMPLATE["Resources"]["Vpc"],
            "Caller": group,
            "Called": group,
            "In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {**rule, **ends}},
            "Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": {**rule, **back}},
        }
    }


def test_a_stack_connects_security_groups(stack: Any, ec2: Any) -> None:
    def rules(logical_id: str, direction: str) -> list[tuple[int, str]]:
        (group,) = ec2.describe_security_groups(GroupIds=[stack.physical_id(logical_id)])["SecurityGroups"]
        found = [(rule["FromPort"], pair["GroupId"]) for rule in group[direction] for pair in rule["UserIdGroupPairs"]]
        return sorted(found)

    stack.create(connected(443))
    caller, called = stack.physical_id("Caller"), stack.physical_id("Called")
    assert rules("Called", "IpPermissions") == [(443, caller)]
    assert rules("Caller", "IpPermissionsEgress") == [(443, called)]
    first = stack.physical_id("In")
    assert first.startswith("sgr-")
    stack.update(connected(443, Description="described"))
    assert stack.physical_id("In") == first
    assert rules("Called", "IpPermissions") == [(443, caller)]
    stack.update(connected(8443))
    assert stack.physical_id("In") != first
    assert rules("Called", "IpPermissions") == [(8443, caller)]
    without = connected(8443)
    del without["Resources"]["In"]
    stack.update(without)
    assert rules("Called", "IpPermissions") == []
    stack.delete()


def test_a_rule_needs_its_group(stack: Any) -> None:
    rule = {"GroupId": "sg-absent", "IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIp": "10.0.0.0/8"}
    template = {"Resources": {"In": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": rule}}}
    assert stack.create(template) == "ROLLBACK_COMPLETE"
    assert any("The security group 'sg-absent' does not exist" in reason for reason in stack.reasons())
