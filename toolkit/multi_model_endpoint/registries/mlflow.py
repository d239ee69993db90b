"""Models of an MLflow tracking server, or of any place that MLflow reads them from."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from multi_model_endpoint.artifacts import InvalidModelError
from multi_model_endpoint.artifacts.errors import invalid
from multi_model_endpoint.artifacts.findings import Advice

from .packers import PACKERS, MlflowModel

_SCHEME = "mlflow:"
_DESCRIPTION = "MLmodel"
_ON_SERVER = ("models", "runs", "mlflow-artifacts")
# MLflow's own seven, each after twice the time of the last, keep a command silent for minutes
_RETRIES = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


@dataclass(frozen=True)
class Fetched:
    """A model that was downloaded and packed.

    Attributes:
        path: Its directory, called like the model.
        framework: Whose image loads it.
        warnings: What its user should know.
    """

    path: Path
    framework: str
    warnings: list[Advice]


def is_mlflow(source: str) -> bool:
    """Whether a source is MLflow's."""
    return source.startswith(_SCHEME)


@contextmanager
def fetched(source: str, framework: str | None) -> Iterator[Fetched]:
    """Download a model and pack it for an image, into a folder that exists inside the ``with`` block.

    Which server, and the credentials for it, MLflow finds in its own variables.

    Args:
        source: ``mlflow:`` and one of MLflow's URIs of models, such as ``models:/churn@champion``.
        framework: Whose image it is for. None: the first that one of the model's flavours is packed for.

    Raises:
        InvalidModelError: If there is no such model or server, or the model can't be packed for the framework.

    https://mlflow.org/docs/latest/ml/model/
    """
    uri = source.removeprefix(_SCHEME)
    with tempfile.TemporaryDirectory(prefix="mme-mlflow-") as folder:
        downloads = Path(folder, "downloads")
        downloads.mkdir()
        model = _read(source, _downloaded(source, uri, downloads))
        if framework is None:
            framework = next((name for name, (flavor, _) in PACKERS.items() if flavor in model.flavors), None)
        flavor, pack = PACKERS.get(framework or "", ("", None))
        if framework is None or pack is None or flavor not in model.flavors:
            kinds = ", ".join(f"{name} (from {needed})" for name, (needed, _) in PACKERS.items())
            wanted = f" for {framework}" if framework else ""
            raise invalid(
                "mlflowNotPackable",
                f"{source} can't be packed{wanted}, got a model with the flavours {', '.join(model.flavors)}: "
                f"--framework can be {kinds}",
            )
        target = Path(folder, "packed", _name(uri))
        target.mkdir(parents=True)
        try:
            warnings = pack(model, target)
        except InvalidModelError as error:
            raise InvalidModelError(problem.of(source) for problem in error.problems) from error
        yield Fetched(target, framework, [warning.of(source) for warning in warnings])


def _downloaded(source: str, uri: str, folder: Path) -> Path:
    os.environ.setdefault(*_RETRIES)
    try:
        from mlflow.artifacts import download_artifacts
    except ImportError as error:
        raise invalid(
            "mlflowNotInstalled",
            f"{source} needs MLflow: pip install 'multi-model-endpoint[mlflow]' brings it ({error})",
        ) from error
    try:
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    # whatever the library of a store raises, or that it is not there
    except Exception as error:
        where = ""
        if urlsplit(uri).scheme in _ON_SERVER:
            named = os.environ.get("MLFLOW_TRACKING_URI")
            where = " from the server of MLFLOW_TRACKING_URI" if named else ": MLFLOW_TRACKING_URI is not set"
        reason = re.sub(r"://[^/@\s]*@", "://", str(error).strip())  # a server's URL may have a password in it
        raise invalid("mlflowNotFound", f"{source} can't be had{where}: {reason}") from error


def _read(source: str, folder: Path) -> MlflowModel:
    import yaml  # type: ignore[import-untyped]

    try:
        described = yaml.safe_load((folder / _DESCRIPTION).read_bytes())
        flavors = described["flavors"]
        signature = described.get("signature") or {}
        inputs, outputs = (json.loads(signature.get(name) or "null") for name in ("inputs", "outputs"))
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise invalid(
            "mlflowNotAModel", f"{source} must be a model, got no {_DESCRIPTION} file that says so: {error}"
        ) from error
    return MlflowModel(folder, flavors, inputs, outputs, _requirements(folder))


def _requirements(folder: Path) -> list[str]:
    file = folder / "requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "mlflow"))]


def _name(uri: str) -> str:
    """The registered model's, or the last part of a path."""
    parts = urlsplit(uri)
    if parts.scheme == "models":
        return parts.path.lstrip("/").partition("/")[0].partition("@")[0]
    return PurePosixPath(parts.path).name
