"""What AWS's XGBoost container does with a model in a multi-model endpoint (its "algorithm mode").

Every file at the artifact's root is a model, a pickled booster or what ``Booster.load_model`` reads; the predictions of
several are averaged, unless ``SAGEMAKER_INFERENCE_ENSEMBLE`` is ``false``. Requests are CSV, LIBSVM or RecordIO
protobuf, answers JSON, a plain list, or CSV, joined by commas also between rows. Types that it does not know are
answered 503 "Prediction failed", since the toolkit that its image pins stumbles over its refusal; data that can't be
read is refused with 400 here, to say why.
https://github.com/aws/sagemaker-xgboost-container
"""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse  # type: ignore[import-untyped]

from mme_local.servers.handlers import recordio
from mme_local.servers.handlers.frame import framed
from mme_local.servers.handlers.lean_xgboost import xgboost

_CSV = ("text/csv", "csv")
_LIBSVM = ("text/libsvm", "text/x-libsvm", "libsvm")
_RECORDIO = ("application/x-recordio-protobuf", "recordio-protobuf")
_JSON = ("application/json", "json")


@dataclass(frozen=True)
class LoadedBooster:
    """A booster, and whether it was pickled: the container counts the columns of a request for those alone."""

    booster: xgboost.Booster
    pickled: bool


_models: list[LoadedBooster] = []


class Refused(Exception):
    """An answer with another status than 200."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@framed
def handle(data: list[dict[str, Any]] | None, context: Any) -> list[bytes | str] | None:
    """Multi Model Server's entry point: the first call, without data, loads the model."""
    if data is None:
        _models[:] = load(Path(context.system_properties["model_dir"]))
        return None
    headers = {name.lower(): value for name, value in context.get_all_request_header(0).items() if name != "body"}
    try:
        answer, content_type = respond(_models, data[0].get("body", b""), headers)
    except Refused as refusal:
        context.set_response_status(refusal.status.value)
        return [str(refusal)]
    context.set_response_content_type(0, content_type)
    return [answer]


def load(directory: Path) -> list[LoadedBooster]:
    """Load every model file at the root of an artifact."""
    files = sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ValueError("unable to load model: the archive has no file at its root")
    if os.environ.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true").lower() == "false":
        files = files[:1]
    return [_load_booster(path) for path in files]


def _load_booster(path: Path) -> LoadedBooster:
    pickled = True
    try:
        with path.open("rb") as file:
            booster: xgboost.Booster = pickle.load(file)  # noqa: S301 - as AWS's container does; the artifact is the user's own
    except MemoryError:
        raise
    except Exception as unpickling:
        pickled = False
        try:
            with xgboost.config_context(verbosity=0):  # without an extension it says that it guesses the format
                booster = xgboost.Booster(model_file=str(path))
        except xgboost.core.XGBoostError as reading:
            raise _out_of_memory(reading) or ValueError(
                f"unable to load model: {path.name} is no pickle ({unpickling}) and no XGBoost model ({reading})"
            ) from reading
    booster.set_param({"nthread": 1})
    return LoadedBooster(booster, pickled)


def respond(models: list[LoadedBooster], body: bytes, headers: dict[str, str]) -> tuple[bytes | str, str]:
    """Predict for one request.

    Returns:
        The body of the answer and its content type.

    Raises:
        Refused: 400 for data that does not parse or fit the model, 204 for an empty body.
        ValueError: For a content or accept type that the container does not know.
    """
    if not body:
        raise Refused(HTTPStatus.NO_CONTENT, "")
    header = headers.get("content-type") or "text/csv"
    content_type = media_type(header)
    matrix = parse(body, content_type)
    try:
        if models[0].pickled:
            _check_columns(models[0].booster.num_features(), matrix.num_col(), content_type)
        predictions = [model.booster.predict(matrix, validate_features=False) for model in models]
        prediction = np.mean(predictions, axis=0)
    except xgboost.core.XGBoostError as error:
        raise _out_of_memory(error) or Refused(
            HTTPStatus.BAD_REQUEST, f"Unable to evaluate payload provided: {error}"
        ) from error
    accept = headers.get("accept") or "*/*"
    if accept == "*/*":
        accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json")
    if accept.lower() in _JSON:
        return json.dumps(prediction.tolist()), accept
    if accept.lower() in _CSV:
        return ",".join(map(str, prediction.tolist())), accept
    raise ValueError(f"{accept} is not an accepted Accept type: use text/csv or application/json")


def media_type(header: str) -> str:
    """A content type without its parameters; SageMaker's short names have no slash."""
    message = Message()
    message["content-type"] = header
    return message.get_content_type() if "/" in header else header.lower()


def parse(body: bytes, content_type: str) -> xgboost.DMatrix:
    """Read the rows of a request.

    Raises:
        Refused: 400 for what can't be read.
        ValueError: For a content type that the container does not know.
    """
    if content_type not in _CSV + _LIBSVM + _RECORDIO:
        raise ValueError(
            f"{content_type} is not an accepted ContentType: use text/csv, text/libsvm or "
            "application/x-recordio-protobuf"
        )
    try:
        if content_type in _RECORDIO:
            return xgboost.DMatrix(recordio.decode(bytes(body)))
        text = body.decode().strip()
        return xgboost.DMatrix(csv(text) if content_type in _CSV else libsvm(text))
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"Loading {content_type} data failed: {error}") from error


def _check_columns(model: int, data: int, content_type: str) -> None:
    fits = data <= model + 1 if content_type in _LIBSVM else data in (model, model - 1)
    if not fits:
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            f"Unable to evaluate payload provided: Feature size of {content_type} inference data {data} is not "
            f"consistent with feature size of trained model {model}.",
        )


def csv(text: str) -> Any:
    """The rows of a CSV text; an empty cell is a missing value."""
    first_line = text.partition("\n")[0]
    delimiter = next((candidate for candidate in ",;\t| " if candidate in first_line), ",")
    return np.array([[cell.strip() or "nan" for cell in line.split(delimiter)] for line in text.split("\n")], float)


def libsvm(text: str) -> Any:
    """The rows of a LIBSVM text; what is left out is missing.

    Where no row has a column 0, columns are taken to be counted from 1, as the container does since May 2026.
    """
    rows, columns, values = [], [], []
    lines = text.split("\n")
    for row, line in enumerate(lines):
        for item in line.split():
            column, colon, value = item.partition(":")
            if colon:  # without one it is the label
                rows.append(row)
                columns.append(int(column))
                values.append(float(value))
    first = int(min(columns, default=0) >= 1)
    shape = (len(lines), max(columns, default=-1) - first + 1)
    return scipy.sparse.csr_matrix((values, (rows, [column - first for column in columns])), shape=shape)


def _out_of_memory(error: Exception) -> MemoryError | None:
    """XGBoost reports a failed allocation as an error of its own; the server answers 507 to a ``MemoryError``."""
    return MemoryError(str(error)) if "bad_alloc" in str(error) else None
