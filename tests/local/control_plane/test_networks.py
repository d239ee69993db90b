"""The types of a default VPC."""

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
