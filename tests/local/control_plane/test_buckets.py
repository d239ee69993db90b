"""S3 as S3 does it, where MiniStack's does otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

BUCKET: dict[str, Any] = {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}}


@pytest.fixture
def s3(control_plane: Any) -> Any:
    return control_plane.client("s3")


@pytest.fixture
def bucket(s3: Any, unique: Any) -> str:
    name: str = unique("bucket-")
    s3.create_bucket(Bucket=name)
    return name


def empty(s3: Any, bucket: str) -> None:
    found = s3.list_object_versions(Bucket=bucket)
    for version in (*found.get("Versions", []), *found.get("DeleteMarkers", [])):
        s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


@pytest.mark.parametrize("left", ["an object", "an old version", "a delete marker"])
def test_a_bucket_that_is_not_empty_stays_with_its_stack(stack: Any, s3: Any, left: str) -> None:
    stack.create({"Resources": {"Bucket": BUCKET}})
    name = stack.physical_id("Bucket")
    if left == "a delete marker":
        s3.delete_object(Bucket=name, Key="model")
    else:
        s3.put_object(Bucket=name, Key="model", Body=b"m")
    if left == "an old version":
        s3.delete_object(Bucket=name, Key="model")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=name)
    assert stack.try_to_delete() == "DELETE_FAILED"
    assert any("The bucket you tried to delete is not empty" in reason for reason in stack.reasons())
    s3.head_bucket(Bucket=name)
    empty(s3, name)
    stack.delete()
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=name)


def test_a_bucket_has_the_tags_of_its_template_and_of_its_stack(stack: Any, s3: Any) -> None:
    def template(*tags: tuple[str, str]) -> dict[str, Any]:
        listed = [{"Key": key, "Value": value} for key, value in tags]
        return {"Resources": {"Bucket": {**BUCKET, "Properties": {**BUCKET["Properties"], "Tags": listed}}}}

    def tags() -> dict[str, str]:
        found = s3.get_bucket_tagging(Bucket=stack.physical_id("Bucket"))["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found if not tag["Key"].startswith("aws:")}

    stack.create(template(("team", "a"), ("old", "1")), Tags=[{"Key": "cost", "Value": "1"}])
    assert tags() == {"team": "a", "old": "1", "cost": "1"}
    stack.update(template(("team", "b")), Tags=[{"Key": "cost", "Value": "1"}])
    assert tags() == {"team": "b", "cost": "1"}


def test_encrypts_with_the_managed_key_where_no_key_is_named(s3: Any, bucket: str) -> None:
    written = s3.put_object(Bucket=bucket, Key="model", Body=b"m", ServerSideEncryption="aws:kms")
    read = s3.get_object(Bucket=bucket, Key="model")
    assert (read["ServerSideEncryption"], read["Body"].read()) == ("aws:kms", b"m")
    assert read["SSEKMSKeyId"] == written["SSEKMSKeyId"]
    assert read["SSEKMSKeyId"].startswith("arn:aws:kms:us-east-1:000000000000:key/")
    copy = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=f"{bucket}/model", ServerSideEncryption="aws:kms", SSEKMSKeyId="own"
    )
    assert copy["SSEKMSKeyId"] == "own"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ServerSideEncryption="aws:kms")
    assert upload["SSEKMSKeyId"] == read["SSEKMSKeyId"]


def test_a_bucket_may_encrypt_with_the_managed_key(s3: Any, bucket: str) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    written = s3.put_object(Bucket=bucket, Key="model", Body=b"m")
    assert written["ServerSideEncryption"] == "aws:kms"
    assert written["SSEKMSKeyId"].startswith("arn:aws:kms:")
