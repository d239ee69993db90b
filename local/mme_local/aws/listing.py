"""Pages of lists."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from mme_local.aws.errors import ValidationError

T = TypeVar("T")


def page(items: Sequence[T], request: Mapping[str, Any], default_size: int) -> tuple[list[T], str | None]:
    """One page of a list and the token of the next one."""
    start = _offset(request["NextToken"]) if "NextToken" in request else 0
    end = start + request.get("MaxResults", default_size)
    token = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    return list(items[start:end]), token


def _offset(token: str) -> int:
    try:
        offset = int(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        offset = -1
    if offset < 0:
        raise ValidationError("The pagination token is invalid.")
    return offset


def answer(member: str, summaries: list[dict[str, Any]], token: str | None) -> dict[str, Any]:
    """The response of an operation that lists."""
    return {member: summaries} if token is None else {member: summaries, "NextToken": token}
