"""Loads an MLflow model of the flavour sklearn in AWS's scikit-learn image; mme push wrote it beside the model.

CSV without a header, JSON (rows, or one) and NPY; the model gets them in the types and, where its signature names
columns, under the names that it was logged with.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import sys
from typing import Any

import numpy as np

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mlflow.json"), encoding="utf-8") as file:
    MLFLOW = json.load(file)


def model_fn(model_dir: str) -> Any:
    """Load the estimator."""
    if MLFLOW["code"]:
        sys.path.insert(0, os.path.join(model_dir, MLFLOW["code"]))
    path = os.path.join(model_dir, MLFLOW["model"])
    if MLFLOW["format"] == "skops":
        import skops.io

        return skops.io.load(path, trusted=MLFLOW["trusted"])
    with open(path, "rb") as file:
        return pickle.load(file)  # noqa: S301 - as MLflow does; the model is the user's own


def input_fn(body: Any, content_type: str) -> Any:
    """Read a request."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-npy":
        return _typed(np.load(io.BytesIO(body)))
    text = body if isinstance(body, str) else bytes(body).decode()
    if kind == "application/json":
        rows = json.loads(text)
        return _typed(rows if isinstance(rows[0], list) else [rows])
    if kind != "text/csv":
        raise ValueError(f"content type must be text/csv, application/json or application/x-npy, got {content_type!r}")
    return _typed([[cell.strip() or None for cell in row] for row in csv.reader(io.StringIO(text.strip()))])


def predict_fn(data: Any, model: Any) -> Any:
    """Predict by the function that the model was logged with."""
    return np.asarray(getattr(model, MLFLOW["predict"])(data))


def _typed(rows: Any) -> Any:
    columns = MLFLOW["columns"]
    if columns is None:
        return rows if isinstance(rows, np.ndarray) else np.array(rows, float)
    import pandas

    frame = pandas.DataFrame(rows, columns=[name for name, _ in columns])
    for name, kind in columns:
        if kind == "str":
            present = frame[name].notna()
            frame[name] = frame[name].astype(str).where(present, None)
        elif kind == "bool":
            frame[name] = frame[name].map(lambda value: str(value).lower() in ("true", "1", "1.0"))
        elif kind is not None:
            frame[name] = pandas.to_numeric(frame[name]).astype(kind)
    return frame
