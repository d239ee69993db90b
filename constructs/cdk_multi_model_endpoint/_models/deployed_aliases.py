"""Aliases that move with a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import custom_resources as cr
from constructs import Construct

from cdk_multi_model_endpoint._rules.tokens import is_token
from multi_model_endpoint.artifacts.alias_names import FOLDER, check_alias
from multi_model_endpoint.artifacts.findings import Problem

from .permission import Permission, document
from .stored_model import StoredModel


class DeployedAliases:
    """What the models of a store are called for their callers.

    CloudFormation sets an alias when its model changes, and else leaves it as somebody else may have set it.
    """

    # Children of the store, not of their models: an alias that goes to another model is not deleted with the first

    def __init__(self, store: Construct) -> None:
        self._store = store
        self._names: set[str] = set()
        self._policy: iam.Policy | None = None

    def problems(self, names: Sequence[str]) -> Iterator[Problem]:
        """Why a model can't be called so."""
        for number, name in enumerate(names):
            if is_token(name):
                yield Problem("notKnownAtSynth", f"aliases[{number}] must be known at synth, got a token")
                continue
            try:
                check_alias(name)
            except ValueError as error:
                yield Problem("invalidAlias", f"aliases[{number}]: {error}")
            if name in self._names or name in names[:number]:
                yield Problem(
                    "duplicateAlias", f"aliases[{number}] must name one model of the store, got {name!r} a second time"
                )

    def add(
        self, name: str, model: StoredModel, bucket: s3.IBucket, prefix: str, removal_policy: cdk.RemovalPolicy
    ) -> None:
        """Set an alias after the upload of its model."""
        if not self._names:
            self._scope = Construct(self._store, "Aliases")
        self._names.add(name)
        uploads, stays = model.uploads, removal_policy != cdk.RemovalPolicy.DESTROY
        where = {"Bucket": bucket.bucket_name, "Key": f"{prefix}{FOLDER}{name}"}
        text = {"Body": model.target_model, "ContentType": "text/plain; charset=utf-8"}
        put = cr.AwsSdkCall(
            service="S3",
            action="putObject",
            parameters=where | text,
            physical_resource_id=cr.PhysicalResourceId.of(name),
            output_paths=["ETag"],
        )
        delete = None if stays else cr.AwsSdkCall(service="S3", action="deleteObject", parameters=where)
        resource = uploads._call(self._scope, name.replace("/", "--"), put, delete)
        resource.node.add_dependency(model)
        if not stays:
            resource.node.add_dependency(self._deletion(uploads.role, f"{bucket.bucket_arn}/{prefix}{FOLDER}*"))

    def _deletion(self, role: iam.IRole, aliases: str) -> iam.Policy:
        """Allow it by a policy of its own: CloudFormation takes statements away before it deletes what needs them."""
        if self._policy is None:
            allowed = document([Permission(["s3:DeleteObject"], [aliases])])
            self._policy = iam.Policy(self._store, "AliasesPolicy", document=allowed, roles=[role])
        return self._policy


def alias_pattern_problems(patterns: Sequence[str]) -> Iterator[Problem]:
    """Why patterns of aliases in a policy can match none."""
    if not patterns:
        yield Problem("emptyList", "aliases must not be empty: leave it out to allow all aliases")
    for number, pattern in enumerate(patterns):
        if is_token(pattern) or "${" in pattern:
            continue
        try:
            check_alias(pattern.replace("*", "x").replace("?", "x"))
        except ValueError:
            yield Problem(
                "invalidAlias",
                f"aliases[{number}] must be a pattern of aliases such as 'churn@prod' or 'tenant_a/*', got {pattern!r}",
            )
