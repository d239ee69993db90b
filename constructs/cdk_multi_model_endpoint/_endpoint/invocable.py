"""What every endpoint can be, whether made here or imported: invoked."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.places import Place, PlacedConstruct
from cdk_multi_model_endpoint._rules.tokens import lower_case
from multi_model_endpoint.artifacts.findings import Problem


class InvocableEndpoint(PlacedConstruct):
    """A multi-model endpoint that others invoke.

    Attributes:
        endpoint_name: What to pass as ``EndpointName``.
        endpoint_arn: Its ARN, with the name as it is given.
    """

    endpoint_name: str
    endpoint_arn: str

    @checked
    def grant_invoke(self, grantee: iam.IGrantable, *, target_models: Sequence[str] | None = None) -> iam.Grant:
        """Allow to invoke the endpoint, for all models or for some.

        Args:
            grantee: Who may.
            target_models: Patterns of ``TargetModel``, with ``*`` and ``?``, such as ``tenant_a/*``, or
                ``${aws:PrincipalTag/tenant}/*`` for each caller's own. At most 1,024 characters each. Left out, every
                model under the prefix.

        Raises:
            InvalidEndpointError: If a pattern can match no target model, or the list is empty.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
        """
        if target_models is None:
            conditions = None
        else:
            problems = list(validate.target_model_patterns(target_models))
            if not target_models and not problems:
                problems.append(
                    Problem("emptyList", "target_models must not be empty: leave it out to allow all models")
                )
            raise_if_any(self, problems)
            conditions = {"StringLike": {"sagemaker:TargetModel": list(target_models)}}
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["sagemaker:InvokeEndpoint"],
            resource_arns=self._arns(),
            conditions=conditions,
        )

    def _arns(self) -> list[str]:
        """The ARN, also with the name in lower case: AWS has had both spellings, and documents neither."""
        name, lower = self.endpoint_name, lower_case(self.endpoint_name)
        if name == lower or not self.endpoint_arn.endswith(name):  # nothing is known of the case of a whole token
            return [self.endpoint_arn]
        return [self.endpoint_arn, f"{self.endpoint_arn.removesuffix(name)}{lower}"]


def endpoint_arn(place: Place, name: str) -> str:
    """The ARN of an endpoint in a stack's own account and region."""
    return f"arn:{place.partition}:sagemaker:{place.region}:{place.account}:endpoint/{name}"
