"""Lists: filters, order and pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from mme_local.sagemaker.errors import ValidationError
from mme_local.sagemaker.records import Endpoint, Record

T = TypeVar("T")
R = TypeVar("R", bound=Record)

_DEFAULT_PAGE = 10


def select(records: Iterable[R], request: Mapping[str, Any]) -> list[R]:
    """The records that pass the request's filters, in its order: the newest first if it names none."""
    keys: dict[str, Callable[[R], Any]] = {
        "Name": lambda record: record.name.lower(),
        "CreationTime": lambda record: record.created,
        "Status": _status,
    }
    key = keys[request.get("SortBy", "CreationTime")]
    descending = request.get("SortOrder", "Descending") == "Descending"
    return sorted((record for record in records if _passes(record, request)), key=key, reverse=descending)


def _passes(record: Record, request: Mapping[str, Any]) -> bool:
    infinity = float("inf")
    modified = record.modified if isinstance(record, Endpoint) else record.created
    return (
        request.get("NameContains", "").lower() in record.name.lower()
        and record.created >= request.get("CreationTimeAfter", -infinity)
        and record.created <= request.get("CreationTimeBefore", infinity)
        and modified >= request.get("LastModifiedTimeAfter", -infinity)
        and modified <= request.get("LastModifiedTimeBefore", infinity)
        and request.get("StatusEquals", _status(record)) == _status(record)
    )


def _status(record: Record) -> str:
    return record.status if isinstance(record, Endpoint) else ""


def page(
    items: Sequence[T], request: Mapping[str, Any], default_size: int = _DEFAULT_PAGE
) -> tuple[list[T], str | None]:
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
    """A List response."""
    return {member: summaries} if token is None else {member: summaries, "NextToken": token}
