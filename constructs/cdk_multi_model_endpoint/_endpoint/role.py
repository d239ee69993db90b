"""What an endpoint's execution role may do: no more than AWS documents for CreateModel and hosting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct, IDependable

from cdk_multi_model_endpoint._images.sources import BoundImage
from cdk_multi_model_endpoint._models.bucket import destination_warnings
from cdk_multi_model_endpoint._models.keys import DECRYPT, ENCRYPT, grant_key, grant_key_to_principal
from cdk_multi_model_endpoint._models.permission import Permission, document
from cdk_multi_model_endpoint._models.store import ModelStore
from cdk_multi_model_endpoint._rules.errors import warn
from cdk_multi_model_endpoint._rules.places import Place, place_of
from cdk_multi_model_endpoint._rules.tokens import digest, identity, pseudo_parameter
from cdk_multi_model_endpoint._variants.capture import CoreDump, DataCapture
from multi_model_endpoint.artifacts.findings import Advice

from .policy_size import count_policy

_NAMESPACES = ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]
_LOGIN = Permission(["ecr:GetAuthorizationToken"], ["*"])
_PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@cache
def _sagemaker() -> iam.ServicePrincipal:
    return iam.ServicePrincipal("sagemaker.amazonaws.com")


def log_group_name(endpoint_name: str) -> str:
    """The log group in which SageMaker puts what an endpoint's containers print.

    https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
    """
    return f"/aws/sagemaker/Endpoints/{endpoint_name}"


class ExecutionRole:
    """A role, and what an endpoint needs of it.

    Args:
        scope: The endpoint.
        role: A role of the user's, or None to make one for SageMaker alone. It has no ``aws:SourceAccount`` condition:
            AWS shows one for training jobs only, and where the key is missing from a request the condition would deny
            every endpoint.

    Attributes:
        role: The role.
        mutable: Whether permissions can be added to it from here.
        permissions: What every Model must wait for.
        model_policies: What lets the Models read, each of them its own.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
    """

    def __init__(self, scope: Construct, role: iam.IRole | None) -> None:
        self._scope = scope
        self.permissions: list[IDependable] = []
        self.model_policies: dict[str, iam.Policy] = {}
        self._written: set[object] = set()
        if role is None:
            role = iam.Role(scope, "Role", assumed_by=_sagemaker())
        self.role = role
        self.mutable = _allow_login(role)
        if not self.mutable:
            message = (
                "role can't be changed from here: give it yourself the permissions to pull the images, to read the "
                "models and to write logs and metrics, or SageMaker refuses the model"
            )
            warn(scope, [Advice("rolePolicyNotAttached", message)])

    def grant_telemetry(self, place: Place, endpoint_name: str) -> None:
        """Allow to write this endpoint's logs and metrics."""
        log_group = (
            f"arn:{place.partition}:logs:{place.region}:{place.account}:log-group:{log_group_name(endpoint_name)}"
        )
        self._grant(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [log_group, f"{log_group}:*"],
        )
        self._grant(["cloudwatch:PutMetricData"], ["*"], {"StringEquals": {"cloudwatch:namespace": _NAMESPACES}})

    def reading(self, images: Sequence[BoundImage], store: ModelStore, urls: Sequence[str]) -> list[IDependable]:
        """Allow to pull a model's images and to read its store and artifacts, and return what the Model must wait for.

        The policy's id has a digest of what it allows. When that changes, CloudFormation makes a new policy first and
        deletes the old one at the end, so that the old fleet can load models until the new one has its traffic.
        """
        if not self.mutable:
            return []
        repositories = [image.repository_arn for image in images if image.repository_arn is not None]
        providers = [image.credentials_provider.function_arn for image in images if image.credentials_provider]
        key = store._encryption_key
        keys = [] if key is None else [key.key_arn]
        identities = [identity(self._scope, part) for part in {*repositories, *providers, *urls, *keys}]
        policy_id = f"ModelPolicy{digest([*identities, store._identity(self._scope)])}"
        if policy_id in self.model_policies:
            return [self.model_policies[policy_id]]
        permissions = [Permission(_PULL, [*dict.fromkeys(repositories)])] if repositories else []
        policy = self.model_policies[policy_id] = iam.Policy(
            self._scope, policy_id, document=document([*permissions, *store._reading]), roles=[self.role]
        )
        count_policy(self._scope, self.role, policy)
        if key is not None:
            grant_key(policy, key, *DECRYPT)
        if urls:
            partition = pseudo_parameter("PARTITION")
            objects = [f"arn:{partition}:s3:::{url.removeprefix('s3://')}" for url in dict.fromkeys(urls)]
            Permission(["s3:GetObject"], objects).grant(policy)
        for image in images:
            if image.credentials_provider is not None:
                image.credentials_provider.grant_invoke(policy)
        return [policy]

    def grant_write(self, destination: DataCapture | CoreDump) -> None:
        """Allow to write captured data or core dumps where they go."""
        what = (destination.bucket, destination.prefix, destination.encryption_key)
        if what in self._written:
            return
        self._written.add(what)
        warn(self._scope, destination_warnings(place_of(self._scope), destination.bucket))
        self._grant(["s3:PutObject"], [destination.bucket.arn_for_objects(f"{destination.prefix}*")])
        for key in (destination.encryption_key, destination.bucket.encryption_key):
            if key is not None:
                self.permissions.append(grant_key(self.role, key, *ENCRYPT))

    def grant_network(self) -> None:
        """Allow to put network interfaces into a VPC. EC2 knows no resources for most of these actions."""
        self._grant(
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            ["*"],
        )

    def grant_volume_key(self, key: kms.IKey) -> None:
        """Allow the key's use for volumes, by AWS services alone."""
        for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        self.permissions.append(grant_key_to_principal(self.role, key, "kms:CreateGrant", conditions=for_aws))

    def _grant(
        self, actions: list[str], resources: list[str], conditions: dict[str, dict[str, object]] | None = None
    ) -> None:
        self.permissions.append(Permission(actions, resources, conditions).grant(self.role))


def _allow_login(role: iam.IRole) -> bool:
    """Allow to log in to Amazon ECR; whether the role takes it, and what else it is allowed from here."""
    if isinstance(role, (iam.Role, iam.LazyRole)):
        _LOGIN.grant(role)
        return True
    # An immutable role claims success; only that no policy comes of it gives it away
    added = role.add_to_principal_policy(iam.PolicyStatement(actions=_LOGIN.actions, resources=_LOGIN.resources))
    return isinstance(added.policy_dependable, Construct)
