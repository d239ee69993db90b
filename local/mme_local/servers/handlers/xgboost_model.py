"""What AWS's XGBoost container does with a model in a multi-model endpoint (its "algorithm mode").

Every file at the artifact's root is a model, a pickled booster or what ``Booster.load_model`` reads; the predictions of
several are averaged, unless ``SAGEMAKER_INFERENCE_ENSEMBLE`` is ``false``. Requests are CSV or LIBSVM, answers JSON, a
plain list, or CSV, joined by commas also between rows. The container takes protobuf requests too; this one does not.
https://github.com/aws/sagemaker-xgboost-container
"""

from __future__ import annotations

import json
import os
import pickle
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse  # type: ignore[import-untyped]
import xgboost

_CSV = ("text/csv", "csv")
_LIBSVM = ("text/libsvm", "text/x-libsvm", "libsvm")
_JSON = ("application/json", "json")

_models: list[xgboost.Booster] = []


class Refused(Exception):
    """An answer with another status than 200."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def handle(data: list[dict[str, Any]] | None, context: Any) -> list[bytes | str] | None:
    """Multi Model Server's entry point: the first call, without data, loads the model."""
    if data is None:
        _models[:] = load(Path(context.system_properties["model_dir"]))
        return None
    headers = {name.lower(): value for name, value in context.get_all_request_header(0).items() if name != "body"}
    try:
        answer, content_type = respond(_models, data[0].get("body", b""), headers)
    except Refused as refusal:
        context.set_response_status(refusal.status.value, str(refusal).replace("\n", " "))
        return [str(refusal)]
    context.set_response_content_type(0, content_type)
    return [answer]


def load(directory: Path) -> list[xgboost.Booster]:
    """Load every model file at the root of an artifact."""
    files = sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ValueError("unable to load model: the archive has no file at its root")
    if os.environ.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true").lower() == "false":
        files = files[:1]
    return [_load_booster(path) for path in files]


def _load_booster(path: Path) -> xgboost.Booster:
    try:
        with path.open("rb") as file:
            booster: xgboost.Booster = pickle.load(file)  # noqa: S301 - as AWS's container does; the artifact is the user's own
    except MemoryError:
        raise
    except Exception as unpickling:
        try:
            with xgboost.config_context(verbosity=0):  # without an extension it says that it guesses the format
                booster = xgboost.Booster(model_file=str(path))
        except xgboost.core.XGBoostError as reading:
            raise _out_of_memory(reading) or ValueError(
                f"unable to load model: {path.name} is no pickle ({unpickling}) and no XGBoost model ({reading})"
            ) from reading
    booster.set_param({"nthread": 1})
    return booster


def respond(models: list[xgboost.Booster], body: bytes, headers: dict[str, str]) -> tuple[bytes | str, str]:
    """Predict for one request.

    Returns:
        The body of the answer and its content type.

    Raises:
        Refused: 415 for a content or accept type that the container does not know, 400 for data that does not parse or
            fit the model, 204 for an empty body.
    """
    if not body:
        raise Refused(HTTPStatus.NO_CONTENT, "")
    matrix = _parse(body, headers.get("content-type") or "text/csv")
    try:
        prediction = np.mean([model.predict(matrix, validate_features=False) for model in models], axis=0)
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
    raise Refused(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{accept} is not an accepted Accept type: use text/csv or application/json"
    )


def _parse(body: bytes, header: str) -> xgboost.DMatrix:
    message = Message()
    message["content-type"] = header
    content_type = message.get_content_type() if "/" in header else header.lower()
    if content_type not in _CSV + _LIBSVM:
        raise Refused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-type {header} is not supported: use text/csv or text/libsvm",
        )
    try:
        text = body.decode().strip()
        return xgboost.DMatrix(_csv(text) if content_type in _CSV else _libsvm(text))
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"Loading {content_type} data failed: {error}") from error


def _csv(text: str) -> Any:
    first_line = text.partition("\n")[0]
    delimiter = next((candidate for candidate in ",;\t| " if candidate in first_line), ",")
    return np.array([[cell.strip() or "nan" for cell in line.split(delimiter)] for line in text.split("\n")], float)


def _libsvm(text: str) -> Any:
    rows, columns, values = [], [], []
    for row, line in enumerate(text.split("\n")):
        for item in line.split():
            column, colon, value = item.partition(":")
            if colon:  # without one it is the label
                rows.append(row)
                columns.append(int(column))
                values.append(float(value))
    return scipy.sparse.csr_matrix((values, (rows, columns)))


def _out_of_memory(error: Exception) -> MemoryError | None:
    """XGBoost reports a failed allocation as an error of its own; the server answers 507 to a ``MemoryError``."""
    return MemoryError(str(error)) if "bad_alloc" in str(error) else None
