"""What of an MLflow model goes where, by the image that loads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multi_model_endpoint.artifacts import InvalidModelError
from multi_model_endpoint.artifacts.errors import invalid
from multi_model_endpoint.artifacts.findings import Advice, Problem

_PROGRAMS = Path(__file__).parent / "programs"
_Fields = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class MlflowModel:
    """An MLflow model as it was downloaded.

    Attributes:
        folder: Where its files are.
        flavors: What its ``MLmodel`` says of each flavour.
        inputs: The columns or tensors that it takes, by its signature; None without one.
        outputs: Those that it returns.
        requirements: What it was made with, as ``requirements.txt`` has it, less MLflow.
    """

    folder: Path
    flavors: Mapping[str, Mapping[str, Any]]
    inputs: _Fields | None
    outputs: _Fields | None
    requirements: Sequence[str]

    def file(self, flavor: str, key: str) -> Path:
        """The file that a flavour names."""
        name = self.flavors[flavor].get(key)
        path = self.folder / str(name)
        if name is None or not path.is_file() or not path.resolve().is_relative_to(self.folder.resolve()):
            raise invalid(
                "mlflowNotAModel", f"{key} of its flavour {flavor} must name a file of the model, got {name!r}"
            )
        return path


def _sklearn(model: MlflowModel, target: Path) -> list[Advice]:
    """The estimator, and a program for script mode that loads it and predicts as MLflow would."""
    flavor = model.flavors["sklearn"]
    estimator = model.file("sklearn", "pickled_model")
    described = {
        "model": estimator.name,
        "format": flavor.get("serialization_format", "pickle"),
        "trusted": flavor.get("skops_trusted_types"),
        "code": flavor.get("code"),
        "predict": model.flavors.get("python_function", {}).get("predict_fn", "predict"),
        "columns": _columns(model.inputs),
    }
    shutil.move(estimator, target / estimator.name)
    if flavor.get("code"):
        shutil.move(model.folder / flavor["code"], target / flavor["code"])
    (target / "mlflow.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(_PROGRAMS / "sklearn_inference.py", target / "inference.py")
    warnings = _made_with(model)
    if described["format"] == "skops":
        warnings.append(
            Advice(
                "mlflowSkopsMissing",
                "the scikit-learn image has no skops: name it in a requirements.txt in source_directory",
            )
        )
    return warnings


def _columns(inputs: _Fields | None) -> list[list[str | None]] | None:
    """The names and pandas' types of the columns that a model takes by name."""
    if not inputs or any("name" not in field or field["type"] == "tensor" for field in inputs):
        return None
    types = {
        **{"boolean": "bool", "integer": "int32", "long": "int64"},
        **{"float": "float32", "double": "float64", "string": "str"},
    }
    return [[field["name"], types.get(str(field["type"]))] for field in inputs]


def _xgboost(model: MlflowModel, target: Path) -> list[Advice]:
    """The booster, which the image loads by itself."""
    shutil.move(model.file("xgboost", "data"), target / "xgboost-model")
    kind = str(model.flavors["xgboost"].get("model_class", "xgboost.core.Booster"))
    if not kind.startswith("xgboost."):
        raise invalid(
            "mlflowNotPackable",
            f"model_class of its flavour xgboost must be one of XGBoost's own, whose file is a booster, got {kind!r}",
        )
    warnings = _made_with(model)
    if not kind.endswith(".Booster"):
        warnings.append(
            Advice(
                "mlflowBoosterAnswers",
                f"the XGBoost image answers as the booster of {kind.rpartition('.')[2]} does, for a classifier with "
                "probabilities, and with all trees; --framework triton answers as the class",
            )
        )
    return warnings


def _triton(model: MlflowModel, target: Path) -> list[Advice]:
    """The whole model, and a program for Triton's Python backend that has MLflow load it."""
    fields = [*_tensors("inputs", "input", model.inputs), *_tensors("outputs", "output", model.outputs)]
    problems = [field for field in fields if isinstance(field, Problem)]
    if problems:
        raise InvalidModelError(problems)
    version = target / "1"
    version.mkdir()
    shutil.move(model.folder, version / "mlflow")
    # which version in the registry it is, is no part of a model
    (version / "mlflow" / "registered_model_meta").unlink(missing_ok=True)
    shutil.copyfile(_PROGRAMS / "triton_model.py", version / "model.py")
    tensors = [field for field in fields if isinstance(field, _Tensor)]
    (target / "config.pbtxt").write_text('backend: "python"\n' + "".join(map(str, tensors)), encoding="utf-8")
    lacking = "Triton's image has no MLflow: the Python of its backend must have it, and pandas"
    return [*_made_with(model), Advice("mlflowMissingInTriton", lacking)]


@dataclass(frozen=True)
class _Tensor:
    """An input or output in ``config.pbtxt``."""

    kind: str
    name: str
    data_type: str
    dims: Sequence[int]
    optional: bool = False

    def __str__(self) -> str:
        name = json.dumps(self.name, ensure_ascii=False)
        optional = " optional: true" if self.optional else ""
        dims = ", ".join(map(str, self.dims))
        return f"{self.kind} {{ name: {name} data_type: {self.data_type} dims: [{dims}]{optional} }}\n"


_TRITON_TYPES = {
    **{"boolean": "TYPE_BOOL", "integer": "TYPE_INT32", "long": "TYPE_INT64", "float": "TYPE_FP32"},
    **{"double": "TYPE_FP64", "string": "TYPE_STRING"},
    **{"bool": "TYPE_BOOL", "float16": "TYPE_FP16", "float32": "TYPE_FP32", "float64": "TYPE_FP64"},
    **{f"int{bits}": f"TYPE_INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"TYPE_UINT{bits}" for bits in (8, 16, 32, 64)},
}


def _tensors(argument: str, kind: str, fields: _Fields | None) -> Iterator[_Tensor | Problem]:
    """The tensors for a signature's fields, or what is wrong with it."""
    if not fields:
        yield Problem(
            "mlflowSignature",
            f"its signature must have {argument}, which Triton wants to know: log the model with a signature",
        )
        return
    if len(fields) > 1 and any("name" not in field for field in fields):
        yield Problem("mlflowSignature", f"{argument} of its signature must have names where there are several")
        return
    for field in fields:
        tensor = field.get("tensor-spec")
        given = tensor["dtype"] if tensor else field["type"]
        name = field.get("name", kind)
        if given not in _TRITON_TYPES:
            yield Problem(
                "mlflowSignature",
                f"{argument} of its signature must be numbers, booleans or strings, got {name!r} of {given}",
            )
            continue
        # a column is as long as there are rows, and one without a name stands for several
        dims = tensor["shape"] if tensor else [-1]
        yield _Tensor(kind, name, _TRITON_TYPES[given], dims, not field.get("required", True))


def _made_with(model: MlflowModel) -> list[Advice]:
    python = model.flavors.get("python_function", {}).get("python_version")
    made = [*([f"Python {python}"] if python else []), *model.requirements]
    return [Advice("mlflowMadeWith", f"made with {', '.join(made)}: choose an image with the like")] if made else []


PACKERS: dict[str, tuple[str, Callable[[MlflowModel, Path], list[Advice]]]] = {
    "xgboost": ("xgboost", _xgboost),
    "sklearn": ("sklearn", _sklearn),
    "triton": ("python_function", _triton),
}
"""By framework: the flavour that it is packed from, and how."""
