"""MiniStack's S3, made to do as S3 does: buckets that are not empty stay, template tags and ``aws/s3`` count."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

Properties = Mapping[str, Any]
Headers = dict[str, str]

_ENCRYPTION = "x-amz-server-side-encryption"
_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def do_as_s3_does() -> None:
    """Mend what S3 does otherwise, in MiniStack's API and in its CloudFormation."""
    from ministack.services import s3
    from ministack.services.cloudformation import provisioners

    if getattr(s3._resolve_sse_write_headers, "knows_the_managed_key", False):
        return
    _encrypt_with_the_managed_key(s3)
    _mend_the_type(s3, provisioners)


def _encrypt_with_the_managed_key(s3: Any) -> None:
    resolve = s3._resolve_sse_write_headers

    def resolve_sse_write_headers(headers: Headers, bucket: str) -> tuple[Headers | None, Any]:
        if headers.get(_ENCRYPTION) == "aws:kms" and not headers.get(_KEY):
            headers = {**headers, _KEY: _managed_key()}
        resolved, error = resolve(headers, bucket)
        if resolved and resolved.get(_ENCRYPTION) == "aws:kms":
            resolved.setdefault(_KEY, _managed_key())
        return resolved, error

    resolve_sse_write_headers.knows_the_managed_key = True  # type: ignore[attr-defined]
    s3._resolve_sse_write_headers = resolve_sse_write_headers


def _managed_key() -> str:
    """The ARN of the account's key ``aws/s3``, the same all the time; its policy lets everybody use it through S3."""
    from ministack.core import responses

    region, account = responses.get_region(), responses.get_account_id()
    return f"arn:aws:kms:{region}:{account}:key/{uuid.uuid5(uuid.NAMESPACE_URL, f'{region}/{account}/aws/s3')}"


def _mend_the_type(s3: Any, provisioners: Any) -> None:
    """Let ``AWS::S3::Bucket`` keep its tags, by which the CDK's ``auto_delete_objects`` knows what it may empty."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    def create_bucket(logical_id: str, properties: Properties, stack_name: str) -> Any:
        name, attributes = create(logical_id, properties, stack_name)
        _apply_tags(name, {}, properties)
        return name, attributes

    def update_bucket(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Any:
        name, attributes = update(physical_id, old, new, stack_name)
        _apply_tags(name, old if name == physical_id else {}, new)
        return name, attributes

    def delete_bucket(physical_id: str, properties: Properties) -> None:
        if physical_id in s3._buckets and (s3._buckets[physical_id]["objects"] or s3._bucket_has_versions(physical_id)):
            raise RuntimeError(
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
                " (Service: S3, Status Code: 409, Error Code: BucketNotEmpty)"
            )
        delete(physical_id, properties)

    def _apply_tags(name: str, old: Properties, new: Properties) -> None:
        kept = {key: value for key, value in (s3._bucket_tags.get(name) or {}).items() if key not in _tags(old)}
        s3._bucket_tags[name] = {**kept, **_tags(new)}

    handlers.update(create=create_bucket, update=update_bucket, delete=delete_bucket)
    provisioners._STACK_TAG_PROPERTY["AWS::S3::Bucket"] = ("Tags", "list")


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
