"""The function behind ``ModelStore.publish_on_approval``: standard library, boto3 and the toolkit's artifacts alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from multi_model_endpoint.artifacts import inspect, target_model

_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}
_ATTEMPTS = 5
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class _Settings:
    bucket: str
    prefix: str
    name: str
    alias_key: str


def handler(event: dict[str, Any], context: object) -> str | None:
    """Copy an approved model into the store, and move the alias to it.

    Events come more than once, late, and in any order, and also when something else of an approved version changes.

    Returns:
        The target model; None where nothing was approved.
    """
    package = event["detail"]
    print(f"{package['ModelPackageArn']} is {package['ModelApprovalStatus']} at {event['time']}")
    changed = package.get("UpdatedModelPackageFields")
    if changed and "ModelApprovalStatus" not in changed:
        print(f"left as it is: {', '.join(changed)} changed, not the approval")
        return None
    settings = _Settings(*(os.environ[name] for name in ("BUCKET", "PREFIX", "NAME", "ALIAS_KEY")))
    client = boto3.client("s3")
    target = _publish(client, settings, _artifact(package))
    _move(client, settings, target, event["time"])
    return target


def _artifact(package: dict[str, Any]) -> tuple[str, str]:
    """The bucket and the key of a model package's artifact."""
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    urls = [container.get("ModelDataUrl") for container in containers]
    if len(urls) != 1 or not urls[0]:
        raise ValueError(f"{package['ModelPackageArn']} must have one container with a ModelDataUrl, got {urls}")
    bucket, _, key = urls[0].removeprefix("s3://").partition("/")
    return bucket, key


def _publish(client: Any, settings: _Settings, source: tuple[str, str]) -> str:
    """Copy an artifact under the name that ``mme push`` would give it, unless it is there."""
    bucket, key = source
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tar.gz")
        artifact = client.get_object(Bucket=bucket, Key=key)
        with artifact["Body"] as body, path.open("wb") as file:
            shutil.copyfileobj(body, file, 1024**2)
        digest, _ = inspect(path)
    target = target_model(settings.name, digest)
    stored = f"{settings.prefix}{target}"
    if _is_there(client, settings, stored):
        print(f"{target} is there")
        return target
    client.copy_object(
        Bucket=settings.bucket,
        Key=stored,
        CopySource={"Bucket": bucket, "Key": key},
        CopySourceIfMatch=artifact["ETag"],
        # else it takes permissions on the tags, too
        TaggingDirective="REPLACE",
    )
    print(f"{target} is a copy of s3://{bucket}/{key}")
    return target


def _move(client: Any, settings: _Settings, target: str, approved: str) -> None:
    """Move the alias, unless it was set by a later approval or by somebody after this one."""
    where = {"Bucket": settings.bucket, "Key": settings.alias_key}
    for _ in range(_ATTEMPTS):
        condition = {"IfNoneMatch": "*"}
        if _is_there(client, settings, settings.alias_key):
            alias = client.get_object(**where)
            since = alias["Metadata"].get("approved") or alias["LastModified"].strftime(_TIME)
            named = alias["Body"].read().decode().strip()
            if named == target or since > approved:
                print(f"the alias names {named} since {since}: left as it is")
                return
            condition = {"IfMatch": alias["ETag"]}
        content = {"Body": target.encode(), "ContentType": "text/plain; charset=utf-8"}
        try:
            client.put_object(**where, **content, Metadata={"approved": approved}, **condition)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _LOST:
                raise
        else:
            print(f"the alias names {target}")
            return
    raise RuntimeError(f"{settings.alias_key} was changed by others {_ATTEMPTS} times meanwhile")


def _is_there(client: Any, settings: _Settings, key: str) -> bool:
    """Whether the store has an object. To who may list a part of a bucket alone, S3 tells it by a list alone."""
    listed = client.list_objects_v2(Bucket=settings.bucket, Prefix=key)
    return key in [each["Key"] for each in listed.get("Contents", [])]
