"""Findings of cdk-nag and checkov that are right as they are: acknowledged on the resource, with the reason.

Both tools read what this leaves behind; neither is needed to synthesize.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

from cdk_multi_model_endpoint import EndpointMonitoring, ModelStore, MultiModelEndpoint, StoredModel


def acknowledge_store(store: ModelStore) -> None:
    """The bucket; an existing one is its owner's business."""
    if not isinstance(store.bucket, s3.Bucket):
        return
    _acknowledge(
        store.bucket,
        "which bucket takes the logs is the account's choice; CloudTrail's data events log the same requests",
        "AwsSolutions-S1",
        "NIST.800.53.R5-S3BucketLoggingEnabled",
        "CKV_AWS_18",
    )
    _acknowledge(
        store.bucket,
        "the models come from the deployment, which puts them into any region that it goes to",
        "NIST.800.53.R5-S3BucketReplicationEnabled",
    )
    _acknowledge(
        store.bucket,
        "Amazon S3's own key encrypts the models; for a key of one's own there is `ModelStore(encryption_key=…)`",
        "NIST.800.53.R5-S3DefaultEncryptionKMS",
    )


def acknowledge_uploads(store: ModelStore, models: Sequence[StoredModel]) -> None:
    """The function that copies the models, its role and its log."""
    model = models[0]  # the uploads are the same for all
    uploads = model.uploads
    _acknowledge(
        uploads.log_group,
        "the log has only the names of objects, and Amazon CloudWatch Logs' own key encrypts it",
        "NIST.800.53.R5-CloudWatchLogGroupEncrypted",
        "CKV_AWS_158",
    )
    _acknowledge_inline_policy(uploads.role)
    _acknowledge(
        uploads.role,
        "it reads what the deployment brought and writes under the prefix; with single names, each further model would "
        "change the policy that all the others wait for",
        _wildcard(store, model.asset.bucket.arn_for_objects("*")),
        _wildcard(store, store.bucket.arn_for_objects(f"{store.prefix}*")),
    )
    _acknowledge(
        uploads.function,
        "only CloudFormation calls it, and waits for its answer: a failure is one of the deployment",
        "NIST.800.53.R5-LambdaDLQ",
        "CKV_AWS_116",
    )
    _acknowledge(
        uploads.function,
        "only CloudFormation calls it, once for each new model; a reservation is lost to the account's other functions",
        "NIST.800.53.R5-LambdaConcurrency",
        "CKV_AWS_115",
    )
    _acknowledge(
        uploads.function,
        "it calls Amazon S3 and CloudFormation alone, by their public addresses, and listens to nobody",
        "NIST.800.53.R5-LambdaInsideVPC",
        "CKV_AWS_117",
    )


def acknowledge_endpoint(endpoint: MultiModelEndpoint, store: ModelStore) -> None:
    """The endpoint and its role."""
    _acknowledge(
        endpoint.endpoint_config,
        "SageMaker encrypts the volumes with keys of its own; for another key there is "
        "`MultiModelEndpoint(encryption_key=…)`, which instance types with NVMe disks refuse",
        "NIST.800.53.R5-SageMakerEndpointConfigurationKMSKeyConfigured",
    )
    if endpoint.log_group is not None:
        _acknowledge(
            endpoint.log_group,
            "AWS's containers print what they do, not what they are sent, and Amazon CloudWatch Logs' own key encrypts "
            "it",
            "NIST.800.53.R5-CloudWatchLogGroupEncrypted",
            "CKV_AWS_158",
        )
    _acknowledge_inline_policy(endpoint.role)
    if endpoint.rollback_policy is not None:
        _acknowledge_inline_policy(endpoint.rollback_policy)
    for policy in endpoint.model_policies:
        _acknowledge_inline_policy(policy)
        _acknowledge(
            policy,
            "models are added while the endpoint runs: it may read whatever is under the prefix",
            _wildcard(endpoint, store.bucket.arn_for_objects(f"{store.prefix}*")),
        )
    streams = cdk.Stack.of(endpoint).format_arn(
        service="logs",
        resource="log-group",
        resource_name=f"/aws/sagemaker/Endpoints/{endpoint.endpoint_name}:*",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    _acknowledge(
        endpoint.role,
        "the instances name the streams of the endpoint's own log group",
        _wildcard(endpoint, streams),
    )
    _acknowledge(
        endpoint.role,
        "`ecr:GetAuthorizationToken` and `cloudwatch:PutMetricData` know no resources; a condition narrows the latter "
        "to SageMaker's namespaces",
        _wildcard(endpoint, "*"),
    )


def acknowledge_silent_alarms(monitoring: EndpointMonitoring) -> None:
    """Alarms without a topic."""
    _acknowledge(
        monitoring,
        "whom to tell is the account's choice, `-c alarm_topic=…`; the one on errors rolls updates back by itself",
        "NIST.800.53.R5-CloudWatchAlarmAction",
    )


def _acknowledge_inline_policy(construct: IConstruct) -> None:
    _acknowledge(
        construct, "it is made for this one role, and comes and goes with it", "NIST.800.53.R5-IAMNoInlinePolicy"
    )


def _acknowledge(construct: IConstruct, reason: str, *findings: str) -> None:
    """Acknowledge findings by their ids: ``AwsSolutions-…`` and ``NIST…`` are cdk-nag's, ``CKV_…`` checkov's."""
    of_checkov = [finding for finding in findings if finding.startswith("CKV_")]
    for finding in findings:
        if finding not in of_checkov:
            # Only with its pack in front does the CDK judge it, and report it with the reason
            pack = finding.partition("-")[0]
            cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"{pack}::{finding}", reason=reason))
    if of_checkov:
        resource = construct.node.default_child
        assert isinstance(resource, cdk.CfnResource)
        skipped = (resource.get_metadata("checkov") or {"skip": []})["skip"]
        skipped += [{"id": finding, "comment": reason} for finding in of_checkov]
        resource.add_metadata("checkov", {"skip": skipped})


def _wildcard(scope: IConstruct, arn: str) -> str:
    """cdk-nag's id for a policy's resource with a ``*`` in it."""
    return f"AwsSolutions-IAM5[Resource::{_flat(cdk.Stack.of(scope).resolve(arn))}]"


def _flat(value: Any) -> str:
    """A resolved value as cdk-nag writes it, with references in angle brackets."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_flat(part) for part in parts)
        case {"Fn::Sub": str(text)}:
            return text.replace("${", "<").replace("}", ">")
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
        case _:
            return str(value)
