"""Says whose key a request has. The table has no keys, only their digests."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import boto3

table = boto3.resource("dynamodb").Table(os.environ["KEYS"])


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Let a tenant in, with its name."""
    digest = hashlib.sha256(event["headers"]["x-api-key"].encode()).hexdigest()
    key = table.get_item(Key={"digest": digest}).get("Item")
    if key is None:
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"tenant": key["tenant"]}}
