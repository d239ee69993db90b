"""Where a store's models are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreUrl:
    """An S3 prefix, which ends in ``/``."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> StoreUrl:
        """Read an S3 URL.

        Raises:
            ValueError: If it is none, or a whole bucket.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket or not prefix.strip("/"):
            raise ValueError(f"must be s3://bucket/prefix/, the ModelStoreUrl of a stack, got {url!r}")
        if prefix.startswith("/") or "//" in prefix:
            raise ValueError(f"must not have empty segments, got {url!r}")
        return cls(bucket, prefix if prefix.endswith("/") else f"{prefix}/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"
