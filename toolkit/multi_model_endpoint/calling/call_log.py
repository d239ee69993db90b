"""A line for each call: figures of each model, which CloudWatch has none of."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import ClientError

from .deadlines import Call

LOGGER = "multi_model_endpoint.calls"
"""Writes the lines, at level INFO."""


@dataclass
class Entry:
    """What is known of a call so far.

    Attributes:
        endpoint: The endpoint's name.
        alias: The alias that was called, if it was one.
        target_model: The target model; None as long as the alias is not looked up.
        variant: The variant that answered, or that was asked for.
        status: The HTTP status of the last answer; None without one.
        error: The last error's code, or the name of botocore's exception; None if there was none.
    """

    endpoint: str
    alias: str | None
    target_model: str | None
    variant: str | None
    status: int | None = None
    error: str | None = None

    def line(self, call: Call) -> str:
        """As one line of JSON, without what is not known."""
        fields = {"event": "mme.call", **vars(self), "attempts": call.attempts}
        fields["milliseconds"] = round(call.seconds * 1000, 1)
        return json.dumps({name: value for name, value in fields.items() if value is not None})


@contextmanager
def logged(entry: Entry, call: Call, logger: logging.Logger | None) -> Iterator[None]:
    """Write an entry at the end of a block, if there is something to write it."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ClientError):
            entry.status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            entry.error = error.response["Error"]["Code"]
        else:
            entry.error = type(error).__name__
        raise
    finally:
        if logger is not None:
            logger.info(entry.line(call))
