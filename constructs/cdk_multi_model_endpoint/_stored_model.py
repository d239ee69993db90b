"""A model in a store, and how a deployment uploads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from mme_local.packing import Artifact, target_model

from ._asset import packed_asset
from ._errors import warn

if TYPE_CHECKING:
    from ._store import ModelStore

# A stack has at most 500 resources, of which the rest of an endpoint takes some 30
_MODELS_ADVISED = 300


class StoredModel(Construct):
    """A model that a deployment uploads.

    Made by ``ModelStore.add_model``. Whoever invokes the model from the same app can wait for the upload with
    ``function.node.add_dependency(model)``.

    Attributes:
        target_model: What to send in ``TargetModel`` to invoke it, such as ``resnet-1a2b3c4d.tar.gz``.
    """

    target_model: str

    def __init__(
        self, scope: Construct, construct_id: str, *, store: ModelStore, name: str, artifact: Artifact
    ) -> None:
        super().__init__(scope, construct_id)
        self.target_model = target_model(name, artifact.digest)
        asset = packed_asset(self, artifact)
        copy = cr.AwsSdkCall(
            service="S3",
            action="copyObject",
            parameters={
                "Bucket": store.bucket.bucket_name,
                "Key": f"{store.prefix}{self.target_model}",
                "CopySource": f"{asset.s3_bucket_name}/{asset.s3_object_key}",
            },
            physical_resource_id=cr.PhysicalResourceId.of(name),
            output_paths=["CopyObjectResult.ETag"],
        )
        uploads = Uploads.of(self)
        upload = cr.AwsCustomResource(
            self,
            "Upload",
            on_create=copy,
            on_update=copy,
            install_latest_aws_sdk=False,
            role=uploads.role,
            log_group=uploads.log_group,
            timeout=cdk.Duration.minutes(15),
        )
        upload.node.add_dependency(*store._upload_permission(upload.grant_principal, asset))
        uploads.count()


class Uploads(Construct):
    """A stack's one role and log group for uploads.

    One, because all ``AwsCustomResource`` of a stack share one function, and the first one's role is the function's.
    """

    _ID = "ModelUploads"

    def __init__(self, scope: cdk.Stack) -> None:
        super().__init__(scope, self._ID)
        self.log_group = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        self._models = 0

    @classmethod
    def of(cls, scope: Construct) -> Uploads:
        """The one of a construct's stack."""
        stack = cdk.Stack.of(scope)
        existing = stack.node.try_find_child(cls._ID)
        if existing is None:
            return cls(stack)
        assert isinstance(existing, cls)
        return existing

    def count(self) -> None:
        """Count one more upload, and warn well before CloudFormation's limits."""
        self._models += 1
        if self._models == _MODELS_ADVISED + 1:
            message = (
                f"add_model was called more than {_MODELS_ADVISED} times in this stack, with one resource each: "
                "CloudFormation allows 500 resources and 1 MB of template; upload models with 'mme-local push', which "
                "gives them the same names"
            )
            warn(self, [("manyModels", message)])
