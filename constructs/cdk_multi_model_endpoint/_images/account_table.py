"""The accounts of AWS's images, for stacks whose region is known only at deployment."""

from __future__ import annotations

from collections.abc import Iterable

import aws_cdk as cdk
from constructs import Construct

from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.tables import partitions, registry_accounts
from cdk_multi_model_endpoint._rules.tokens import pseudo_parameter
from multi_model_endpoint.artifacts.findings import Problem

_TARGET_PARTITIONS = "@aws-cdk/core:target-partitions"


class _AccountTable(cdk.CfnMapping):
    """A mapping from region to account, with the regions that the stack's images need."""

    def __init__(self, stack: cdk.Stack, construct_id: str, mapping: dict[str, dict[str, str]]) -> None:
        super().__init__(stack, construct_id, mapping=mapping)
        self._regions = set(mapping)

    def add(self, mapping: dict[str, dict[str, str]]) -> None:
        for region in mapping.keys() - self._regions:
            self.set_value(region, "account", mapping[region]["account"])
        self._regions.update(mapping)


def account_in_any_region(scope: Construct, stack: cdk.Stack, registry: str, regions: Iterable[str], image: str) -> str:
    """An image's account, looked up in the stack's one table of the registry.

    As with the CDK's own tables, the context ``@aws-cdk/core:target-partitions`` leaves the other partitions out.
    """
    targets = stack.node.try_get_context(_TARGET_PARTITIONS)
    wanted = sorted(
        region for region in regions if not isinstance(targets, list) or partitions().get(region) in targets
    )
    if not wanted:
        message = (
            f"image {image} is published in none of the partitions of {_TARGET_PARTITIONS}, {targets}: "
            "pass account_id, the account that has it there"
        )
        raise_if_any(scope, [Problem("imageNotInRegion", message)])
    accounts = registry_accounts(registry)
    mapping = {region: {"account": accounts[region]} for region in wanted}
    construct_id = f"SageMaker{registry.capitalize()}Accounts"
    table = stack.node.try_find_child(construct_id)
    if table is None:
        table = _AccountTable(stack, construct_id, mapping)
    else:
        assert isinstance(table, _AccountTable)
        table.add(mapping)
    return table.find_in_map(pseudo_parameter("REGION"), "account")
