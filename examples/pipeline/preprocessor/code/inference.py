"""The first container: makes of a customer, in JSON, the columns that the models know, in CSV."""

from __future__ import annotations

import json

Customer = dict[str, float]


def model_fn(model_dir: str) -> None:
    """Load nothing: all it knows is below."""


def input_fn(body: str, content_type: str) -> Customer:
    """Read a customer."""
    customer: Customer = json.loads(body)
    return customer


def predict_fn(customer: Customer, model: None) -> list[float]:
    """Months as a customer, monthly bill, support calls a year."""
    return [12 * customer["years"], customer["bill"], customer["calls"]]


def output_fn(columns: list[float], accept: str) -> tuple[str, str]:
    """Write a row: the next container's request."""
    return ",".join(str(column) for column in columns), "text/csv"
