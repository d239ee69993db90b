"""What an endpoint's execution role may do: no more than AWS documents for CreateModel and hosting."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct, IDependable

from ._capture import CoreDump, DataCapture
from ._image_sources import BoundImage
from ._store import ModelStore

T = TypeVar("T", bound=Hashable)

_NAMESPACES = ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]


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
        permissions: What a Model must wait for: CreateModel checks that the role may read the images and the models.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
    """

    def __init__(self, scope: Construct, role: iam.IRole | None) -> None:
        self.permissions: list[IDependable] = []
        self._granted: set[object] = set()
        if role is None:
            role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
        self.role = role
        login = role.add_to_principal_policy(
            iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"])
        )
        # An immutable role claims success; only that no policy comes of it gives it away
        self.mutable = isinstance(role, (iam.Role, iam.LazyRole)) or isinstance(login.policy_dependable, Construct)
        if not self.mutable:
            cdk.Annotations.of(scope).add_warning_v2(
                "cdk-multi-model-endpoint:rolePolicyNotAttached",
                "role can't be changed from here: give it yourself the permissions to pull the images, to read the "
                "models and to write logs and metrics, or SageMaker refuses the model",
            )

    def grant_telemetry(self, stack: cdk.Stack, endpoint_name: str) -> None:
        """Allow to write this endpoint's logs and metrics."""
        log_group = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/sagemaker/Endpoints/{endpoint_name}",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self._grant(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [log_group, f"{log_group}:*"],
        )
        self._grant(["cloudwatch:PutMetricData"], ["*"], {"StringEquals": {"cloudwatch:namespace": _NAMESPACES}})

    def grant_pull(self, images: Iterable[BoundImage]) -> None:
        """Allow to pull images, from their repositories alone."""
        images = list(images)
        for image in images:
            if image.credentials_provider is not None and self._new([image]):
                self.permissions.append(image.credentials_provider.grant_invoke(self.role))
        repositories = self._new(image.repository_arn for image in images if image.repository_arn is not None)
        if repositories:
            self._grant(
                ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], repositories
            )

    def grant_read(self, store: ModelStore) -> None:
        """Allow to read a store's models."""
        if self._new([store]):
            self.permissions.append(store.grant_read(self.role))

    def grant_objects(self, urls: Iterable[str]) -> None:
        """Allow to read single objects, by their S3 URLs."""
        objects = self._new(f"arn:{cdk.Aws.PARTITION}:s3:::{url.removeprefix('s3://')}" for url in urls)
        if objects:
            self._grant(["s3:GetObject"], objects)

    def grant_write(self, destination: DataCapture | CoreDump) -> None:
        """Allow to write captured data or core dumps where they go."""
        if not self._new([(destination.bucket, destination.prefix, destination.encryption_key)]):
            return
        self._grant(["s3:PutObject"], [destination.bucket.arn_for_objects(f"{destination.prefix}*")])
        for key in (destination.encryption_key, destination.bucket.encryption_key):
            if key is not None:
                self.permissions.append(key.grant_encrypt(self.role))

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
        self._grant(["kms:CreateGrant"], [key.key_arn], {"Bool": {"kms:GrantIsForAWSResource": "true"}})

    def _new(self, things: Iterable[T]) -> list[T]:
        """The things that were not granted before."""
        new = [thing for thing in dict.fromkeys(things) if thing not in self._granted]
        self._granted.update(new)
        return new

    def _grant(
        self, actions: list[str], resources: list[str], conditions: dict[str, dict[str, object]] | None = None
    ) -> None:
        self.permissions.append(
            iam.Grant.add_to_principal(
                grantee=self.role, actions=actions, resource_arns=resources, conditions=conditions
            )
        )
