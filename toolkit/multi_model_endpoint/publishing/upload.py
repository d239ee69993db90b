"""Uploads that can be broken off and gone on with, and that never overwrite."""

from __future__ import annotations

import base64
import hashlib
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import Executor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from multi_model_endpoint.store_url import StoreUrl

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

PART_BYTES = 16 * 1024**2
_PARTS_MAX = 10_000
_MEBIBYTE = 1024**2
_DENIED = {"AccessDenied", "403"}
_EXISTS = {"PreconditionFailed", "412"}
# What a push of the same content at the same time does to this one
_OVERTAKEN = {"NoSuchUpload", "InvalidPart", "ConditionalRequestConflict"}
_ATTEMPTS = 3

Progress = Callable[[int], None]


class Stopped(Exception):
    """An upload that was broken off."""


class Uploader:
    """Puts files under an S3 prefix.

    Small files go in one request; larger ones in parts, by a multipart upload that a broken-off earlier push of the
    same content may have begun. Both are conditional: an object that is there already is left as it is.

    Args:
        client: S3.
        destination: The prefix.
        parts: What runs the uploads of parts.
    """

    def __init__(self, client: S3Client, destination: StoreUrl, parts: Executor) -> None:
        self._client = client
        self._bucket = destination.bucket
        self._prefix = destination.prefix
        self._parts = parts
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Begin no further request for a part; the uploads fail, and can be gone on with."""
        self._stopped.set()

    def check(self) -> None:
        """Raise ``Stopped`` when it was stopped."""
        if self._stopped.is_set():
            raise Stopped

    def existing(self, target_model: str = "") -> set[str]:
        """The target models that are there, of those that begin so."""
        prefix = self._prefix + target_model
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return {item["Key"].removeprefix(self._prefix) for page in pages for item in page.get("Contents", ())}

    def upload(self, path: Path, target_model: str, progress: Progress) -> bool:
        """Upload a file.

        Args:
            path: The packed model.
            target_model: Its name below the prefix.
            progress: Called with the bytes of each request that is done, or was by an earlier push.

        Returns:
            Whether it was uploaded; False when somebody else was faster.
        """
        attempts = 0
        while True:
            try:
                self._upload(path, self._prefix + target_model, progress, again=attempts > 0)
            except ClientError as error:
                if _code(error) in _EXISTS:
                    return False
                if _code(error) not in _OVERTAKEN:
                    raise
                if target_model in self.existing(target_model):
                    return False
                attempts += 1
                if attempts == _ATTEMPTS:
                    raise
            else:
                return True

    def _upload(self, path: Path, key: str, progress: Progress, *, again: bool) -> None:
        self.check()
        if path.stat().st_size > PART_BYTES:
            self._upload_parts(path, key, progress, [] if again else self._unfinished(key))
            return
        body = path.read_bytes()
        self._once(self._client.put_object, Bucket=self._bucket, Key=key, Body=body)
        progress(len(body))

    def _upload_parts(self, path: Path, key: str, progress: Progress, unfinished: list[str]) -> None:
        upload_id = (
            unfinished[-1]
            if unfinished
            else self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE"
            )["UploadId"]
        )
        done = self._done(key, upload_id) if unfinished else {}
        parts = self._send(path, key, upload_id, done, progress)
        try:
            self._once(
                self._client.complete_multipart_upload,
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
            )
        except ClientError as error:
            if _code(error) in _EXISTS:
                self._abort(key, upload_id, *unfinished[:-1])
            raise
        self._abort(key, *unfinished[:-1])

    def _send(
        self, path: Path, key: str, upload_id: str, done: dict[int, dict[str, Any]], progress: Progress
    ) -> list[Any]:
        """Send the parts that are not there, and describe all of them."""
        size = path.stat().st_size
        part_size = _part_size(size)

        def send(number: int) -> dict[str, Any]:
            self.check()
            with path.open("rb") as file:
                file.seek((number - 1) * part_size)
                body = file.read(part_size)
            part = done.get(number)
            if part is None or not _same(part, body):
                part = dict(
                    self._client.upload_part(
                        Bucket=self._bucket,
                        Key=key,
                        UploadId=upload_id,
                        PartNumber=number,
                        Body=body,
                        ChecksumCRC32=_crc32(body),
                    )
                )
            progress(len(body))
            described = {"PartNumber": number, "ETag": part["ETag"]}
            return described | ({"ChecksumCRC32": part["ChecksumCRC32"]} if "ChecksumCRC32" in part else {})

        futures = [self._parts.submit(send, number + 1) for number in range(-(-size // part_size))]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def _unfinished(self, key: str) -> list[str]:
        """The unfinished uploads of a key, the newest last; none where the caller may not list them."""
        try:
            pages = [*self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key)]
        except ClientError as error:
            if _code(error) not in _DENIED:
                raise
            return []
        found = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Key"] == key]
        return [upload["UploadId"] for upload in sorted(found, key=lambda upload: upload["Initiated"])]

    def _done(self, key: str, upload_id: str) -> dict[int, dict[str, Any]]:
        try:
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload_id)
            return {part["PartNumber"]: dict(part) for page in pages for part in page.get("Parts", ())}
        except ClientError as error:
            if _code(error) not in _DENIED:
                raise
            return {}

    def _abort(self, key: str, *upload_ids: str) -> None:
        for upload_id in upload_ids:
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            except ClientError as error:
                if _code(error) != "NoSuchUpload":
                    raise

    def _once(self, call: Callable[..., Any], **arguments: Any) -> None:
        """Write an object unless it exists. An S3 that knows no such condition overwrites it by the same content."""
        try:
            call(**arguments, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) != "NotImplemented":
                raise
            call(**arguments)


def _part_size(size: int) -> int:
    """A whole number of MiB that gives at most 10,000 parts, the same for the same size."""
    least = -(-size // _PARTS_MAX)
    return max(PART_BYTES, -(-least // _MEBIBYTE) * _MEBIBYTE)


def _same(part: dict[str, Any], body: bytes) -> bool:
    """Whether an uploaded part has this content; under a KMS key its ETag is no digest, but its checksum is."""
    if part.get("Size") != len(body):
        return False
    if "ChecksumCRC32" in part:
        return bool(part["ChecksumCRC32"] == _crc32(body))
    return bool(part["ETag"].strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest())


def _crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
