"""Durations and sizes in the units that SageMaker takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import aws_cdk as cdk

from multi_model_endpoint.artifacts.findings import Problem

from . import checks as validate


def seconds(duration: cdk.Duration | None) -> float | None:
    """How many seconds there are."""
    return None if duration is None else duration.to_seconds()


def gibibytes(size: cdk.Size | None) -> float | None:
    """How many GiB there are."""
    return None if size is None else size.to_gibibytes()


def seconds_problems(argument: str, duration: cdk.Duration | None, minimum: int, maximum: int) -> Iterator[Problem]:
    """Whether a duration is one of whole seconds within bounds."""
    yield from _problems(argument, lambda: seconds(duration), minimum, maximum, "seconds")


def days_problems(argument: str, duration: cdk.Duration | None) -> Iterator[Problem]:
    """Whether a duration is one of whole days, at least one."""
    yield from _problems(argument, lambda: None if duration is None else duration.to_days(), 1, 2**31 - 1, "days")


def gibibytes_problems(argument: str, size: cdk.Size | None, minimum: int, maximum: int) -> Iterator[Problem]:
    """Whether a size is one of whole GiB within bounds."""
    yield from _problems(argument, lambda: gibibytes(size), minimum, maximum, "GiB")


def bytes_problems(argument: str, size: cdk.Size | None) -> Iterator[Problem]:
    """Whether a size is one of whole bytes."""
    yield from _problems(argument, lambda: None if size is None else size.to_bytes(), 0, 2**63 - 1, "bytes")


def _problems(
    argument: str, convert: Callable[[], float | None], minimum: int, maximum: int, unit: str
) -> Iterator[Problem]:
    try:
        value = convert()
    except RuntimeError as error:  # the CDK's, for a fraction, and for a token in another unit
        yield Problem(
            "notWholeUnits", f"{argument} must be given in whole {unit}: {re.sub(r'^[A-Za-z]+: ', '', str(error))}"
        )
        return
    if value is not None and value % 1:  # false for a token
        yield Problem("notWholeUnits", f"{argument} must be given in whole {unit}, got {value}")
    else:
        yield from validate.within(argument, value, minimum, maximum, unit)
