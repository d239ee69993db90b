"""Whose resources a request is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """The account and region of a request: each has its own resources of every service."""

    account: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource, such as ``endpoint/demo`` of ``sagemaker``."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"
