"""What a store's bucket forgets by itself."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import InvalidEndpointError, ModelStore


@pytest.fixture
def stack() -> cdk.Stack:
    return cdk.Stack(cdk.App(), "Stack")


def rules(stack: cdk.Stack) -> Any:
    (bucket,) = Template.from_stack(stack).find_resources("AWS::S3::Bucket").values()
    return bucket["Properties"]["LifecycleConfiguration"]["Rules"]


def test_forgets_unfinished_uploads_after_a_week_and_no_version_ever(stack: cdk.Stack) -> None:
    ModelStore(stack, "Models")
    assert rules(stack) == [{"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}, "Status": "Enabled"}]


def test_forgets_uploads_and_versions_when_it_is_told(stack: cdk.Stack) -> None:
    ModelStore(
        stack,
        "Models",
        abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
        noncurrent_version_expiration=cdk.Duration.hours(24 * 90),
    )
    assert rules(stack) == [
        {
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            "ExpiredObjectDeleteMarker": True,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
            "Status": "Enabled",
        }
    ]


@pytest.mark.parametrize("argument", ["abort_incomplete_multipart_upload_after", "noncurrent_version_expiration"])
@pytest.mark.parametrize(
    ("duration", "problem"),
    [
        pytest.param(cdk.Duration.hours(30), "must be given in whole days", id="fraction"),
        pytest.param(cdk.Duration.days(0), "must be 1 to 2147483647 days, got 0", id="none"),
    ],
)
def test_refuses_no_whole_days(stack: cdk.Stack, argument: str, duration: cdk.Duration, problem: str) -> None:
    options: dict[str, Any] = {argument: duration}
    with pytest.raises(InvalidEndpointError, match=f"{argument} {problem}"):
        ModelStore(stack, "Models", **options)


@pytest.mark.parametrize("argument", ["abort_incomplete_multipart_upload_after", "noncurrent_version_expiration"])
def test_leaves_the_rules_of_an_existing_bucket_to_its_owner(stack: cdk.Stack, argument: str) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "bucket")
    options: dict[str, Any] = {argument: cdk.Duration.days(1)}
    with pytest.raises(InvalidEndpointError, match=f"{argument} must not be given with bucket"):
        ModelStore(stack, "Models", bucket=bucket, **options)
