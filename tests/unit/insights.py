"""As much of CloudWatch Logs Insights as the dashboard's queries need; whatever else they had would be an error.

Written from AWS's page: the local CloudWatch Logs knows no ``stats``.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
NAME = r"@?[a-z_][a-z0-9_]*"


def run(query: str, events: Sequence[Row], now: float) -> list[Row]:
    """The rows that a query gives for discovered fields, of which a missing one is None."""
    rows = [dict(event) for event in events]
    for stage in re.split(r"\n\| ", query):
        command, _, rest = stage.partition(" ")
        rows = {"filter": _filter, "fields": _fields, "stats": _stats, "sort": _sort, "limit": _limit}[command](
            rest, rows, now
        )
    return rows


def _filter(text: str, rows: list[Row], now: float) -> list[Row]:
    for term in text.split(" and "):
        if match := re.fullmatch(rf'({NAME}) = "([^"]*)"', term):
            rows = [row for row in rows if row.get(match[1]) == match[2]]
        elif match := re.fullmatch(rf"ispresent\(({NAME})\)", term):
            rows = [row for row in rows if row.get(match[1]) is not None]
        else:
            raise SyntaxError(term)
    return rows


def _fields(text: str, rows: list[Row], now: float) -> list[Row]:
    match = re.fullmatch(rf"(.+) as ({NAME})", text)
    if match is None:
        raise SyntaxError(text)
    expression, name = match.groups()
    if found := re.fullmatch(rf"coalesce\(({NAME}), ({NAME})\)", expression):
        first, second = found.groups()
        return [{**row, name: row.get(first) if row.get(first) is not None else row.get(second)} for row in rows]
    if expression == "(now() * 1000 - toMillis(@timestamp)) / 60000":
        return [{**row, name: (now * 1000 - row["@timestamp"]) / 60000} for row in rows]
    raise SyntaxError(expression)


def _stats(text: str, rows: list[Row], now: float) -> list[Row]:
    what, _, by = text.partition(" by ")
    keys = by.split(", ")
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    columns = re.findall(rf"(\w+)\(([^)]*)\) as ({NAME})", what)
    if ", ".join(f"{function}({argument}) as {name}" for function, argument, name in columns) != what:
        raise SyntaxError(what)
    return [
        {
            **dict(zip(keys, group, strict=True)),
            **{name: _aggregate(function, argument, members) for function, argument, name in columns},
        }
        for group, members in groups.items()
    ]


def _aggregate(function: str, argument: str, rows: Sequence[Row]) -> float:
    field, *more = argument.split(", ")
    if function == "count" and field == "*":
        return len(rows)
    values = sorted(row[field] for row in rows if row.get(field) is not None)
    simple: dict[str, Callable[[list[float]], float]] = {"min": min, "avg": lambda all_: sum(all_) / len(all_)}
    if function == "pct":
        (percentage,) = more
        return float(values[max(0, math.ceil(len(values) * float(percentage) / 100) - 1)])
    return simple[function](values)


def _sort(text: str, rows: list[Row], now: float) -> list[Row]:
    match = re.fullmatch(rf"({NAME}) desc", text)
    if match is None:
        raise SyntaxError(text)
    return sorted(rows, key=lambda row: -row[match[1]])


def _limit(text: str, rows: list[Row], now: float) -> list[Row]:
    return rows[: int(text)]
