"""Models that come into a store when somebody approves them in SageMaker's Model Registry."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

import multi_model_endpoint
from multi_model_endpoint.artifacts.alias_names import FOLDER, check_alias
from multi_model_endpoint.artifacts.findings import Problem

from .functions import log_and_role
from .keys import DECRYPT, ENCRYPT, grant_key
from .permission import Permission

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs

_PROGRAM = Path(__file__).with_name("publish_approved.py")
_GROUP = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_TIMEOUT_MINUTES = 15
_MEMORY_MIB = 1769
"""What gives a function one whole processor: unzipping and digesting take no more.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""
_DISK_GIB = 10
"""The most there is: the artifact and the tar in it have to fit."""


class ModelApprovals(Construct):
    """What publishes the approved models of one model package group.

    Made by ``ModelStore.publish_on_approval``.

    Attributes:
        rule: The rule that waits for approvals.
        function: What copies the model and moves the alias.
        log_group: The function's log group, kept for a month.
        dead_letters: Where events go that could not be dealt with, for 14 days: an alarm on its
            ``metric_approximate_number_of_messages_visible()`` tells of approvals that came to nothing.
    """

    rule: events.Rule
    function: lambda_.Function
    log_group: logs.LogGroup
    dead_letters: sqs.Queue

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        model_package_group: str,
        bucket: s3.IBucket,
        prefix: str,
        name: str,
        alias: str,
        source: s3.IBucket,
        encryption_key: kms.IKey | None,
    ) -> None:
        from aws_cdk import aws_sqs as sqs  # what few need does not slow the start of every app

        super().__init__(scope, construct_id)
        self._bucket = bucket
        self._models = f"{prefix}{name}-*"
        self._alias = f"{prefix}{FOLDER}{alias}"
        self.log_group, role = log_and_role(self)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
        )
        self.function = self._create_function(
            role, {"BUCKET": bucket.bucket_name, "PREFIX": prefix, "NAME": name, "ALIAS_KEY": self._alias}
        )
        self._permit(source, encryption_key)
        self.rule = self._create_rule(model_package_group)

    def _create_function(self, role: iam.IRole, environment: dict[str, str]) -> lambda_.Function:
        return lambda_.Function(
            self,
            "Function",
            code=lambda_.Code.from_asset(_code(self)),
            handler=f"{_PROGRAM.stem}.handler",
            runtime=lambda_.Runtime.PYTHON_3_14,
            role=role,
            environment=environment,
            timeout=cdk.Duration.minutes(_TIMEOUT_MINUTES),
            memory_size=_MEMORY_MIB,
            ephemeral_storage_size=cdk.Size.gibibytes(_DISK_GIB),
            log_group=self.log_group,
            dead_letter_queue=self.dead_letters,
        )

    def _create_rule(self, model_package_group: str) -> events.Rule:
        from aws_cdk import aws_events_targets as targets

        return events.Rule(
            self,
            "Rule",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={"ModelPackageGroupName": [model_package_group], "ModelApprovalStatus": ["Approved"]},
            ),
            targets=[targets.LambdaFunction(self.function, dead_letter_queue=self.dead_letters)],
        )

    def _permit(self, source: s3.IBucket, encryption_key: kms.IKey | None) -> None:
        """Allow to read the artifacts, and to write models and the alias of these names."""
        for permission in (
            Permission(["s3:GetObject"], [source.arn_for_objects("*"), self._bucket.arn_for_objects(self._alias)]),
            Permission(["s3:PutObject"], [self._bucket.arn_for_objects(key) for key in (self._models, self._alias)]),
            # without it S3 does not say what is not there
            Permission(
                ["s3:ListBucket"],
                [self._bucket.bucket_arn],
                {"StringLike": {"s3:prefix": [self._models, self._alias]}},
            ),
        ):
            permission.grant(self.function)
        if source.encryption_key is not None:
            grant_key(self.function, source.encryption_key, *DECRYPT)
        if encryption_key is not None:
            grant_key(self.function, encryption_key, *DECRYPT, *ENCRYPT)


def approval_problems(model_package_group: str, alias: str) -> Iterator[Problem]:
    """What is wrong with the names of a group and of an alias.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackageGroup.html
    """
    if not _GROUP.fullmatch(model_package_group):
        yield Problem(
            "invalidName",
            "model_package_group must be the name of a group, 1 to 63 letters, digits and inner hyphens, "
            f"got {model_package_group!r}",
        )
    try:
        check_alias(alias)
    except ValueError as error:
        yield Problem("invalidAlias", str(error))


def _code(scope: Construct) -> str:
    """A folder with the function's program and the part of the toolkit that names models by their content."""
    folder = Path(cast(cdk.Stage, cdk.Stage.of(scope)).asset_outdir, "publish-approved")
    package = folder / multi_model_endpoint.__name__
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        Path(multi_model_endpoint.__file__).parent / "artifacts",
        package / "artifacts",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (package / "__init__.py").touch()
    shutil.copyfile(_PROGRAM, folder / _PROGRAM.name)
    return str(folder)
