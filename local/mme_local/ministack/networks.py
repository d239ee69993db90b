"""The CloudFormation types of VPCs and connections that MiniStack's EC2 has and its CloudFormation does not.

There is no network behind any of this: containers run on this machine.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

Properties = Mapping[str, Any]
Provisioned = tuple[str, dict[str, str]]
Handlers = dict[str, Callable[..., Any]]

ADDRESS = "AWS::EC2::EIP"
GATEWAY = "AWS::EC2::NatGateway"
_SOURCE = ("SourcePrefixListId", "SourceSecurityGroupId", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId")
_TARGET = ("DestinationPrefixListId", "DestinationSecurityGroupId")
_RULE = ("CidrIp", "CidrIpv6", "FromPort", "GroupId", "IpProtocol", "ToPort")
INGRESS = "AWS::EC2::SecurityGroupIngress"
EGRESS = "AWS::EC2::SecurityGroupEgress"
_CREATE_ONLY = {
    INGRESS: (*_RULE, *_SOURCE, "GroupName"),
    EGRESS: (*_RULE, *_TARGET),
    ADDRESS: ("Address", "Domain", "IpamPoolId", "NetworkBorderGroup", "TransferAddress"),
    GATEWAY: ("AllocationId", "ConnectivityType", "PrivateIpAddress", "SubnetId", "VpcId"),
}


def have_types_of_networks() -> None:
    """Enter the types into MiniStack's tables."""
    from ministack.services import ec2
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS
    handlers[ADDRESS], handlers[GATEWAY] = _addresses_and_gateways(ec2, provisioners)
    handlers[INGRESS] = _rules(ec2, provisioners, "IpPermissions")
    handlers[EGRESS] = _rules(ec2, provisioners, "IpPermissionsEgress")
    for name, create_only in _CREATE_ONLY.items():
        provisioners._REPLACING_PROPERTIES[name] = create_only
    for name in (ADDRESS, GATEWAY):
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")


def _rules(ec2: Any, provisioners: Any, direction: str) -> Handlers:
    """Rules that come to a security group and go, beside those of its own."""

    def change(old: Properties, new: Properties) -> None:
        group_id = (new or old)["GroupId"]
        group = ec2._security_groups.get(group_id)
        if group is None and new:
            raise RuntimeError(f"The security group '{group_id}' does not exist (Error Code: InvalidGroup.NotFound)")
        if group is not None:
            before, after = (provisioners._ec2_sg_permissions([rule] if rule else []) for rule in (old, new))
            provisioners._ec2_sg_reconcile(group.setdefault(direction, []), before, after)

    def create(logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
        change({}, properties)
        rule = f"sgr-{secrets.token_hex(9)[1:]}"
        return rule, {"Id": rule}

    def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Provisioned:
        change(old, new)
        return physical_id, {"Id": physical_id}

    def delete(physical_id: str, properties: Properties) -> None:
        change(properties, {})

    return {"create": create, "update": update, "delete": delete}


def _addresses_and_gateways(ec2: Any, provisioners: Any) -> tuple[Handlers, Handlers]:
    def tagged(
        create: Callable[[Properties], tuple[str, str, dict[str, str]]],
    ) -> Callable[[str, Properties, str], Provisioned]:
        def provision(logical_id: str, properties: Properties, stack_name: str) -> Provisioned:
            physical_id, resource_id, attributes = create(properties)
            provisioners._ec2_apply_tags(resource_id, properties)
            return physical_id, attributes

        return provision

    def create_address(properties: Properties) -> tuple[str, str, dict[str, str]]:
        answer = _answered(ec2._allocate_address({"Domain": [properties.get("Domain", "vpc")]}))
        allocation, address = _member(answer, "allocationId"), _member(answer, "publicIp")
        return address, allocation, {"AllocationId": allocation, "PublicIp": address}

    def create_gateway(properties: Properties) -> tuple[str, str, dict[str, str]]:
        members = ("SubnetId", "AllocationId", "ConnectivityType")
        request = {name: [properties[name]] for name in members if name in properties}
        gateway = _member(_answered(ec2._create_nat_gateway(request)), "natGatewayId")
        return gateway, gateway, {"NatGatewayId": gateway}

    def allocation_of(address: str) -> str:
        return next((key for key, found in ec2._addresses.items() if found["PublicIp"] == address), "")

    def update_address(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Provisioned:
        allocation = allocation_of(physical_id)
        provisioners._ec2_apply_tags(allocation, new, old)
        return physical_id, {"AllocationId": allocation, "PublicIp": physical_id}

    def update_gateway(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Provisioned:
        provisioners._ec2_apply_tags(physical_id, new, old)
        return physical_id, {"NatGatewayId": physical_id}

    def delete_address(physical_id: str, properties: Properties) -> None:
        if allocation := allocation_of(physical_id):
            _answered(ec2._release_address({"AllocationId": [allocation]}))

    def delete_gateway(physical_id: str, properties: Properties) -> None:
        if physical_id in ec2._nat_gateways:
            _answered(ec2._delete_nat_gateway({"NatGatewayId": [physical_id]}))

    return (
        {"create": tagged(create_address), "update": update_address, "delete": delete_address},
        {"create": tagged(create_gateway), "update": update_gateway, "delete": delete_gateway},
    )


def _answered(response: tuple[int, Any, bytes | str]) -> str:
    status, _, body = response
    text = body.decode() if isinstance(body, bytes) else body
    if status >= 400:
        raise RuntimeError(f"{_member(text, 'Message')} (Service: Ec2, Error Code: {_member(text, 'Code')})")
    return text


def _member(answer: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", answer)
    return "" if found is None else found[1]
