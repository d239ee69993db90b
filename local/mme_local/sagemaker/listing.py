"""Lists: filters, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from mme_local.aws import listing
from mme_local.sagemaker.records import Endpoint, Record

R = TypeVar("R", bound=Record)

_DEFAULT_PAGE = 10


def page(records: Iterable[R], request: Mapping[str, Any]) -> tuple[list[R], str | None]:
    """A page of the records that pass the request's filters, and the token of the next one.

    They come in the request's order, the newest first if it names none.
    """
    keys: dict[str, Callable[[R], Any]] = {
        "Name": lambda record: record.name.lower(),
        "CreationTime": lambda record: record.created,
        "Status": _status,
    }
    key = keys[request.get("SortBy", "CreationTime")]
    descending = request.get("SortOrder", "Descending") == "Descending"
    passing = sorted((record for record in records if _passes(record, request)), key=key, reverse=descending)
    return listing.page(passing, request, _DEFAULT_PAGE)


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
