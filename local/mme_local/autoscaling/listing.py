"""Pages of what the service describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mme_local.autoscaling.errors import InvalidNextToken
from mme_local.aws import listing
from mme_local.aws.errors import ValidationError

_PAGE = 50


def answer(member: str, items: Sequence[dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """One page of a Describe response."""
    if not 1 <= request.get("MaxResults", _PAGE) <= _PAGE:
        raise ValidationError(f"MaxResults must be between 1 and {_PAGE}, got {request['MaxResults']}.")
    try:
        page, token = listing.page(items, request, default_size=_PAGE)
    except ValidationError as error:
        raise InvalidNextToken(str(error)) from error
    return listing.answer(member, page, token)
