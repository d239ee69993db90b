"""Endpoints that are not part of this app."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.tokens import is_token
from cdk_multi_model_endpoint._variants.metrics import MetricOptions, VariantMetrics

from .invocable import InvocableEndpoint, endpoint_arn


class ImportedEndpoint(InvocableEndpoint):
    """An endpoint that is not part of this app: it can be granted and measured, not scaled or changed."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        name: str,
        arn: str | None = None,
        elsewhere: MetricOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        raise_if_any(self, validate.name("endpoint_name", name))
        self.endpoint_name = name
        self.endpoint_arn = endpoint_arn(self._place, name) if arn is None else arn
        self._elsewhere = elsewhere

    @checked
    def find_variant(self, variant_name: str) -> VariantMetrics:
        """The metrics of a variant; that it exists can't be checked."""
        raise_if_any(self, validate.name("variant_name", variant_name))
        return VariantMetrics(self, self.endpoint_name, variant_name, self._elsewhere)


def imported_by_arn(scope: Construct, construct_id: str, arn: str) -> ImportedEndpoint:
    """An endpoint by its ARN, whose metrics are where it is."""
    raise_if_any(f"{scope.node.path}/{construct_id}", validate.endpoint_arn("endpoint_arn", arn))
    parts = cdk.Stack.of(scope).split_arn(arn, cdk.ArnFormat.SLASH_RESOURCE_NAME)
    elsewhere: MetricOptions = {}
    if parts.region and not is_token(parts.region):
        elsewhere["region"] = parts.region
    if parts.account and not is_token(parts.account):
        elsewhere["account"] = parts.account
    return ImportedEndpoint(scope, construct_id, parts.resource_name or "", arn, elsewhere)
