"""What becomes of an MLflow model, by its files alone: no server, and no MLflow but its reader of folders."""

from __future__ import annotations

import importlib.util
import io
import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

from multi_model_endpoint.artifacts import InvalidModelError, ModelServer, check_layout, inspect
from multi_model_endpoint.publishing import push
from multi_model_endpoint.registries import fetched

PYFUNC = {"loader_module": "mlflow.xgboost", "python_version": "3.11.7"}
XGBOOST = {"data": "model.ubj", "model_class": "xgboost.core.Booster"}


def column(kind: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": kind, "required": True} | ({} if name is None else {"name": name}) | more


def model(folder: Path, flavors: Mapping[str, Any], inputs: Any = None, outputs: Any = None) -> str:
    """A model's folder, as a source."""
    (folder / "churn").mkdir()
    signature = {name: json.dumps(fields) for name, fields in (("inputs", inputs), ("outputs", outputs)) if fields}
    (folder / "churn" / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "signature": signature}))
    (folder / "churn" / "model.ubj").write_bytes(b"{L")
    return f"mlflow:{folder / 'churn'}"


def problems(source: str, framework: str | None = None) -> list[str]:
    with pytest.raises(InvalidModelError) as caught, fetched(source, framework):
        pass
    return [problem.message for problem in caught.value.problems]


def test_takes_the_first_framework_that_a_flavour_is_for(tmp_path: Path) -> None:
    source = model(tmp_path, {"python_function": PYFUNC, "xgboost": XGBOOST})
    with fetched(source, None) as packed:
        assert (packed.framework, packed.path.name) == ("xgboost", "churn")
        assert [path.name for path in packed.path.iterdir()] == ["xgboost-model"]
        digest, _ = inspect(packed.path)
    assert not packed.path.exists()
    with fetched(source, None) as again:
        assert inspect(again.path)[0] == digest


def test_refuses_classes_that_may_not_keep_a_booster(tmp_path: Path) -> None:
    source = model(tmp_path, {"xgboost": XGBOOST | {"model_class": "ours.Ensemble"}})
    (problem,) = problems(source)
    assert problem.endswith("must be one of XGBoost's own, whose file is a booster, got 'ours.Ensemble'")


@pytest.mark.parametrize("name", ["../../etc/passwd", "nothing.ubj", None])
def test_reads_no_file_but_the_models_own(tmp_path: Path, name: str | None) -> None:
    source = model(tmp_path, {"xgboost": XGBOOST | {"data": name}})
    assert problems(source) == [f"{source}: data of its flavour xgboost must name a file of the model, got {name!r}"]


def test_tells_triton_the_columns_and_tensors_of_the_signature(tmp_path: Path) -> None:
    inputs = [column("long", 'the "age"'), column("string", "plan", required=False), column("boolean", "é")]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]
    with fetched(model(tmp_path, {"python_function": PYFUNC}, inputs, outputs), "triton") as packed:
        _, contents = inspect(packed.path)
        assert check_layout(contents, ModelServer("sagemaker-tritonserver")).problems == []
        assert (packed.path / "config.pbtxt").read_text(encoding="utf-8").splitlines() == [
            'backend: "python"',
            'input { name: "the \\"age\\"" data_type: TYPE_INT64 dims: [-1] }',
            'input { name: "plan" data_type: TYPE_STRING dims: [-1] optional: true }',
            'input { name: "é" data_type: TYPE_BOOL dims: [-1] }',
            'output { name: "output" data_type: TYPE_FP32 dims: [-1, 2] }',
        ]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([column("double", "a")], None, "its signature must have outputs"),
        ([column("datetime", "a")], [column("long")], "numbers, booleans or strings, got 'a' of datetime"),
        ([column("double"), column("double")], [column("long")], "inputs of its signature must have names"),
    ],
)
def test_refuses_what_triton_can_not_be_told(tmp_path: Path, inputs: Any, outputs: Any, message: str) -> None:
    (problem,) = problems(model(tmp_path, {"python_function": PYFUNC}, inputs, outputs), "triton")
    assert message in problem


def test_refuses_a_folder_whose_description_says_nothing(tmp_path: Path) -> None:
    source = model(tmp_path, {})
    (tmp_path / "churn" / "MLmodel").write_text("flavors")
    assert "must be a model, got no MLmodel file that says so" in problems(source)[0]


def test_names_the_extra_where_mlflow_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.artifacts", None)
    (problem,) = problems(model(tmp_path, {}))
    assert "needs MLflow: pip install 'multi-model-endpoint[mlflow]' brings it" in problem


def test_refuses_each_for_a_model_that_is_no_folder_of_models() -> None:
    result = CliRunner().invoke(push, ["--each", "mlflow:models:/churn/1", "s3://bucket/models/"])
    assert result.exit_code == 2
    assert "--each is for folders of models, not for MLflow's" in result.output


@pytest.fixture
def program(tmp_path: Path) -> ModuleType:
    """What answers for a scikit-learn model of numbers."""
    source = model(tmp_path, {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "pickle"}})
    regression = LinearRegression().fit([[0, 0], [1, 0], [0, 1]], [0, 1, 2])
    (tmp_path / "churn" / "model.pkl").write_bytes(pickle.dumps(regression))
    with fetched(source, None) as packed:
        packed.path.rename(tmp_path / "packed")
    spec = importlib.util.spec_from_file_location("packed_inference", tmp_path / "packed" / "inference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def npy(rows: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(rows))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"1,1\n0.5, 2\n", "text/csv; charset=utf-8", [3, 4.5]),
        ("1,1", "text/csv", [3]),
        (b"[[1, 1], [0, 2]]", "application/json", [3, 4]),
        (b"[1, 1]", "application/json", [3]),
        (npy([[1.0, 1.0]]), "application/x-npy", [3]),
    ],
)
def test_reads_rows_in_the_types_of_scikit_learns_image(
    program: ModuleType, tmp_path: Path, body: Any, content_type: str, expected: list[float]
) -> None:
    loaded = program.model_fn(str(tmp_path / "packed"))
    answer = program.predict_fn(program.input_fn(body, content_type), loaded)
    assert answer.tolist() == pytest.approx(expected)


def test_an_empty_cell_is_a_missing_value(program: ModuleType) -> None:
    assert np.isnan(program.input_fn(b"1,\n2,3", "text/csv")).tolist() == [[False, True], [False, False]]


def test_refuses_other_types(program: ModuleType) -> None:
    with pytest.raises(ValueError, match="content type must be text/csv, application/json or application/x-npy, got"):
        program.input_fn(b"", "image/png")
