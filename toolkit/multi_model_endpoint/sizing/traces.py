"""Calls that were made: a CSV file, or the lines that the client writes."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from multi_model_endpoint.artifacts.naming import DIGEST_LENGTH

_VERSION = re.compile(rf"-[0-9a-f]{{{DIGEST_LENGTH}}}\.tar\.gz|\.tar\.gz|@[^@/]*")


class InvalidTraceError(Exception):
    """A file that has no calls."""


@dataclass(frozen=True)
class Trace:
    """Calls in their order.

    Attributes:
        calls: What was called: names, target models or aliases.
        seconds: From the first call to the last; None where there are no times.
    """

    calls: tuple[str, ...]
    seconds: float | None

    @property
    def rate(self) -> float | None:
        """Calls a second, if they have times."""
        return (len(self.calls) - 1) / self.seconds if self.seconds else None

    def of(self, names: Iterable[str]) -> tuple[list[str], int]:
        """The calls of known models, by the models' names, and how many other calls there are.

        A target model, an alias and a name are one model where nothing but a version tells them apart.

        Raises:
            InvalidTraceError: If no model is known.
        """
        known: dict[str, str] = {}
        for name in names:
            known[name] = name
            known.setdefault(_VERSION.sub("", name), name)
        found = [known.get(call) or known.get(_VERSION.sub("", call)) for call in self.calls]
        calls = [name for name in found if name is not None]
        if not calls:
            raise InvalidTraceError(f"the trace must call the models, got none of them: its first is {self.calls[0]!r}")
        return calls, len(found) - len(calls)


def read_trace(path: Path) -> Trace:
    """Read calls.

    Args:
        path: A CSV file with the columns ``time`` (seconds, or ISO 8601) and ``model``, or a log with lines of
            ``MultiModelClient``, whatever stands before them.

    Raises:
        InvalidTraceError: If it is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTraceError(f"the trace must be readable, got {str(path)!r}: {error}") from None
    lines = text.splitlines()
    return _trace(str(path), list(_logged(lines) if '"mme.call"' in text else _listed(path, lines)))


def read_log_group(client: Any, name: str, since: float) -> Trace:
    """Read the client's lines from CloudWatch Logs.

    Args:
        client: A client of it, which may ``logs:FilterLogEvents``.
        name: The log group.
        since: When to begin, in seconds since 1970.

    Raises:
        InvalidTraceError: If there are none.
    """
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=name, startTime=round(1000 * since), filterPattern='"mme.call"'
    )
    events = (event for page in pages for event in page["events"])
    rows = [(event["timestamp"] / 1000, model) for event in events for _, model in _logged([event["message"]])]
    return _trace(name, rows)


def _trace(name: str, rows: Sequence[tuple[float | None, str]]) -> Trace:
    if not rows:
        raise InvalidTraceError(f"the trace must have calls, got {name!r} without any")
    times = [moment for moment, _ in rows if moment is not None]
    if len(times) < len(rows):
        return Trace(tuple(model for _, model in rows), None)
    ordered = sorted(rows, key=lambda row: row[0] or 0)
    return Trace(tuple(model for _, model in ordered), max(times) - min(times))


def _listed(path: Path, lines: Iterable[str]) -> Iterator[tuple[float | None, str]]:
    reader = csv.DictReader(lines)
    if not {"time", "model"} <= {*(reader.fieldnames or ())}:
        raise InvalidTraceError(
            f"the trace must have the columns time and model, or lines of the client, got {str(path)!r}"
        )
    for row in reader:
        if not row["model"]:
            raise InvalidTraceError(f"line {reader.line_num} of the trace must name a model, got {row!r}")
        try:
            yield _seconds(row["time"]), row["model"]
        except (ValueError, TypeError):
            raise InvalidTraceError(
                f"line {reader.line_num} of the trace must have seconds or an ISO 8601 time, got {row['time']!r}"
            ) from None


def _logged(lines: Iterable[str]) -> Iterator[tuple[float | None, str]]:
    for line in lines:
        entry = _entry(line[line.find("{") :])
        model = entry.get("alias") or entry.get("target_model")
        if entry.get("event") == "mme.call" and model:
            try:
                yield _seconds(entry.get("timestamp") or ""), model
            except (TypeError, ValueError):
                yield None, model


def _entry(text: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(text)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _seconds(moment: str) -> float:
    try:
        return float(moment)
    except ValueError:
        at = datetime.fromisoformat(moment)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
