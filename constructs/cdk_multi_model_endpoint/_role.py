"""What an endpoint's execution role may do: no more than AWS documents for CreateModel and hosting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct, IDependable

from ._store import ModelStore

_NAMESPACES = ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]


def create_execution_role(scope: Construct) -> iam.Role:
    """A role for SageMaker alone, without permissions.

    There is no ``aws:SourceAccount`` condition: AWS shows one for training jobs only, and where the key is missing from
    a request the condition would deny every endpoint.
    """
    return iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))


def grant_execution(
    scope: Construct,
    role: iam.IRole,
    *,
    endpoint_name: str,
    repository_arns: Iterable[str],
    model_stores: Iterable[ModelStore],
    model_data_urls: Iterable[str],
) -> Sequence[IDependable]:
    """Grant what hosting needs, and return what the Model must wait for: CreateModel checks these permissions.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
    """
    stack = cdk.Stack.of(scope)
    login = role.add_to_principal_policy(iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"]))
    # An immutable role claims success; only that no policy comes of it gives it away.
    if not isinstance(role, (iam.Role, iam.LazyRole)) and not isinstance(login.policy_dependable, Construct):
        cdk.Annotations.of(scope).add_warning_v2(
            "cdk-multi-model-endpoint:rolePolicyNotAttached",
            "role can't be changed from here: give it yourself the permissions to pull the images, to read the models "
            "and to write logs and metrics, or SageMaker refuses the model",
        )

    def grant(
        actions: list[str], resources: list[str], conditions: dict[str, dict[str, object]] | None = None
    ) -> iam.Grant:
        return iam.Grant.add_to_principal(grantee=role, actions=actions, resource_arns=resources, conditions=conditions)

    log_group = stack.format_arn(
        service="logs",
        resource="log-group",
        resource_name=f"/aws/sagemaker/Endpoints/{endpoint_name}",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    grants = [
        grant(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            list(dict.fromkeys(repository_arns)),
        ),
        grant(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [log_group, f"{log_group}:*"],
        ),
        grant(["cloudwatch:PutMetricData"], ["*"], {"StringEquals": {"cloudwatch:namespace": _NAMESPACES}}),
        *(store.grant_read(role) for store in model_stores),
    ]
    objects = [f"arn:{cdk.Aws.PARTITION}:s3:::{url.removeprefix('s3://')}" for url in model_data_urls]
    if objects:
        grants.append(grant(["s3:GetObject"], objects))
    return grants
