"""A model in a store, and how a deployment uploads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import custom_resources as cr
from constructs import Construct, IConstruct, IDependable

from cdk_multi_model_endpoint._rules.errors import warn
from multi_model_endpoint.artifacts import Artifact, target_model
from multi_model_endpoint.artifacts.findings import Advice, Problem

from .asset import packed_asset
from .functions import log_and_role

# A stack has at most 500 resources: the uploads take four of their own, the rest of an endpoint some 30
_MODELS_ADVISED = 300
_MODELS_MAX = 496
_WAYS_BEYOND = "upload models with 'mme push', which gives them the same names, or spread them over nested stacks"
_TIMEOUT_MINUTES = 15


class StoredModel(Construct):
    """A model that a deployment uploads.

    Made by ``ModelStore.add_model``. Whoever invokes the model from the same app can wait for the upload with
    ``function.node.add_dependency(model)``.

    Attributes:
        target_model: What to send in ``TargetModel`` to invoke it, such as ``resnet-1a2b3c4d.tar.gz``.
        asset: The packed model, in the bucket that the deployment copies it from.
        uploads: What copies it, with all other models of the stack.
    """

    target_model: str
    asset: s3_assets.Asset
    uploads: ModelUploads

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        artifact: Artifact,
        bucket: s3.IBucket,
        prefix: str,
        permit: Callable[[iam.IPrincipal, s3.IBucket], Sequence[IDependable]],
    ) -> None:
        super().__init__(scope, construct_id)
        self.target_model = target_model(name, artifact.digest)
        self.asset = packed_asset(self, artifact)
        copy = cr.AwsSdkCall(
            service="S3",
            action="copyObject",
            parameters={
                "Bucket": bucket.bucket_name,
                "Key": f"{prefix}{self.target_model}",
                "CopySource": f"{self.asset.s3_bucket_name}/{self.asset.s3_object_key}",
            },
            physical_resource_id=cr.PhysicalResourceId.of(name),
            output_paths=["CopyObjectResult.ETag"],
        )
        self.uploads = ModelUploads._of(self)
        upload = self.uploads._call(self, "Upload", copy)
        upload.node.add_dependency(*permit(self.uploads.role, self.asset.bucket))


@cache
def _shared_function() -> str:
    """The id of the function that a stack's ``AwsCustomResource`` share."""
    return f"AWS{cr.AwsCustomResource.PROVIDER_FUNCTION_UUID.replace('-', '')}"


class ModelUploads(Construct):
    """What uploads the models of a stack: one function with its role and its log group, for all stores.

    Found by ``StoredModel.uploads``, for instance to acknowledge findings on it.

    Attributes:
        role: The function's role.
        log_group: The function's log group, kept for a month.
    """

    # One, because all ``AwsCustomResource`` of a stack share one function, with the role and the timeout of the first.
    # Where that is not ours but the user's, the uploads get a function of their own, with the same code.

    role: iam.Role
    log_group: logs.LogGroup

    _ID = "ModelUploads"

    def __init__(self, scope: cdk.Stack, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.log_group, self.role = log_and_role(self)
        self._resources = 0
        self._stack = scope
        shared = scope.node.try_find_child(_shared_function())
        self._own = None if shared is None else self._create_function(shared)

    @property
    def function(self) -> IConstruct:
        """The function: the one that the stack's ``AwsCustomResource`` share, or one of the uploads' own."""
        return self._stack.node.find_child(_shared_function()) if self._own is None else self._own

    @classmethod
    def _of(cls, scope: Construct) -> ModelUploads:
        """The one of a construct's stack."""
        construct_id, existing = cls._find(scope)
        return cls(cdk.Stack.of(scope), construct_id) if existing is None else existing

    @classmethod
    def _find(cls, scope: Construct) -> tuple[str, ModelUploads | None]:
        """The id of the one of a construct's stack, and itself, if it is there."""
        stack, construct_id = cdk.Stack.of(scope), cls._ID
        while (existing := stack.node.try_find_child(construct_id)) is not None:
            if isinstance(existing, cls):
                return construct_id, existing
            construct_id += "-"  # that one is the user's
        return construct_id, None

    def _create_function(self, shared: IConstruct) -> lambda_.CfnFunction:
        template = cast(lambda_.CfnFunction, shared.node.default_child)
        function = lambda_.CfnFunction(
            self,
            "Function",
            code=template.code,
            handler=template.handler,
            runtime=template.runtime,
            role=self.role.role_arn,
            timeout=60 * _TIMEOUT_MINUTES,
            logging_config=lambda_.CfnFunction.LoggingConfigProperty(log_group=self.log_group.log_group_name),
        )
        function.node.add_dependency(self.role)
        return function

    def _call(
        self, scope: Construct, construct_id: str, call: cr.AwsSdkCall, on_delete: cr.AwsSdkCall | None = None
    ) -> cr.AwsCustomResource:
        """Have the function call AWS at creation and at each change, and at the end."""
        resource = cr.AwsCustomResource(
            scope,
            construct_id if self._own is None else f"Own{construct_id}",  # its function can't be changed in place
            on_create=call,
            on_update=call,
            on_delete=on_delete,
            install_latest_aws_sdk=False,
            role=self.role,
            log_group=self.log_group,
            timeout=cdk.Duration.minutes(_TIMEOUT_MINUTES),
        )
        if self._own is not None:
            behind = cast(cdk.CfnResource, resource.node.find_child("Resource").node.default_child)
            behind.add_property_override("ServiceToken", self._own.attr_arn)
        self._count()
        return resource

    def _count(self) -> None:
        """Count one more resource, and warn well before CloudFormation's limits."""
        self._resources += 1
        if self._resources == _MODELS_ADVISED + 1:
            message = (
                f"add_model was called for more than {_MODELS_ADVISED} models and aliases in this stack, with one "
                f"resource each: CloudFormation allows 500 resources and 1 MB of template; {_WAYS_BEYOND}"
            )
            warn(self, [Advice("manyModels", message)])


def too_many(scope: Construct, more: int) -> list[Problem]:
    """What is wrong with that many more models and aliases in a construct's stack, known before any model is read."""
    _, uploads = ModelUploads._find(scope)
    added = 0 if uploads is None else uploads._resources
    if added + more <= _MODELS_MAX:
        return []
    message = (
        f"add_model must be called for at most {_MODELS_MAX} models and aliases in one stack, with one resource each, "
        f"not {added + more}: CloudFormation allows 500 resources; {_WAYS_BEYOND}"
    )
    return [Problem("tooManyModels", message)]
