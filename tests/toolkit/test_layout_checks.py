"""What must be where in a model, by the framework that loads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from multi_model_endpoint.artifacts import Findings, ModelServer, check_layout, inspect

PYTHON = 'backend: "python"'
ENSEMBLE = 'platform: "ensemble" ensemble_scheduling { step [ { model_name: "a" }, { model_name: "b" } ] }'
STEPS = {"a/config.pbtxt": PYTHON, "a/1/model.py": "", "b/config.pbtxt": PYTHON, "b/1/model.py": ""}


def check(tmp_path: Path, family: str | None, files: dict[str, str], program: str | None = "inference.py") -> Findings:
    for name, text in files.items():
        path = tmp_path / "model" / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or "\n")
    return check_layout(inspect(tmp_path / "model")[1], ModelServer(family, program))


def problem(findings: Findings) -> str:
    (only,) = findings.problems
    return only


def warning(findings: Findings) -> str:
    assert findings.problems == []
    ((warning_id, _),) = findings.warnings
    return warning_id


def test_does_not_check_for_unknown_images(tmp_path: Path) -> None:
    assert check(tmp_path, None, {"x": ""}) == Findings()


class TestXGBoost:
    def test_accepts_a_booster_of_any_name(self, tmp_path: Path) -> None:
        assert check(tmp_path, "xgboost", {"model.ubj": "", "code/inference.py": "", ".hidden": ""}) == Findings()

    def test_refuses_a_nested_booster(self, tmp_path: Path) -> None:
        findings = check(tmp_path, "xgboost", {"output/xgboost-model": ""})
        assert "at its root, 'xgboost-model', got 'output/xgboost-model': move it there" in problem(findings)

    def test_refuses_what_would_be_loaded_as_a_booster(self, tmp_path: Path) -> None:
        findings = check(tmp_path, "xgboost", {"xgboost-model": "", "inference.py": ""})
        assert "got 'inference.py': move it to a sub-folder" in problem(findings)

    def test_warns_of_several_models(self, tmp_path: Path) -> None:
        assert warning(check(tmp_path, "xgboost", {"a": "", "b": ""})) == "xgboostSeveralModels"


class TestScikitLearn:
    @pytest.mark.parametrize("name", ["model.joblib", "anything.bin", "inference.py"])
    def test_accepts_what_the_containers_program_may_load(self, tmp_path: Path, name: str) -> None:
        assert check(tmp_path, "sklearn", {name: ""}) == Findings()

    def test_warns_of_a_script_that_is_not_read(self, tmp_path: Path) -> None:
        found = check(tmp_path, "sklearn", {"code/serve.py": "", "model.joblib": ""}, "serve.py")
        assert warning(found) == "sklearnInferenceScript"

    def test_does_not_check_for_a_program_that_is_a_token(self, tmp_path: Path) -> None:
        assert check(tmp_path, "sklearn", {"code/inference.py": ""}, None) == Findings()


class TestPyTorch:
    @pytest.mark.parametrize(
        "name", ["model.pt", "code/inference.py", "MAR-INF/MANIFEST.json", "m/MAR-INF/MANIFEST.json"]
    )
    def test_accepts_what_the_container_loads(self, tmp_path: Path, name: str) -> None:
        assert check(tmp_path, "pytorch", {name: "", "a.pth": "", "b.pth": ""}) == Findings()

    def test_refuses_anything_else(self, tmp_path: Path) -> None:
        findings = check(tmp_path, "pytorch", {"weights.bin": ""})
        assert "'code/inference.py' with a model_fn, or a TorchScript model as 'model.pt'" in problem(findings)

    def test_warns_of_another_name(self, tmp_path: Path) -> None:
        assert warning(check(tmp_path, "pytorch", {"resnet.pth": ""})) == "pytorchModelName"

    def test_warns_of_requirements_that_nobody_installs(self, tmp_path: Path) -> None:
        files = {"code/inference.py": "", "code/requirements.txt": "pandas"}
        assert warning(check(tmp_path, "pytorch", files)) == "pytorchRequirements"


class TestTensorFlow:
    def test_accepts_a_version_folder_at_the_root(self, tmp_path: Path) -> None:
        assert check(tmp_path, "tensorflow", {"1/saved_model.pb": "", "1/variables/variables.index": ""}) == Findings()

    @pytest.mark.parametrize(
        ("name", "way_out"),
        [
            ("model/1/saved_model.pb", "move 'model/1' to the root"),
            ("saved_model.pb", "move it into a folder '1'"),
            ("export/saved_model.pb", "move it into a folder '1'"),
            ("model.h5", "export it with tf.saved_model.save"),
        ],
    )
    def test_refuses_anything_else(self, tmp_path: Path, name: str, way_out: str) -> None:
        message = problem(check(tmp_path, "tensorflow", {name: ""}))
        assert "'1/saved_model.pb'" in message
        assert way_out in message

    def test_warns_of_a_script_that_is_not_read(self, tmp_path: Path) -> None:
        findings = check(tmp_path, "tensorflow", {"1/saved_model.pb": "", "code/inference.py": ""})
        assert warning(findings) == "tensorflowInferenceScript"


class TestTriton:
    def check(self, tmp_path: Path, files: dict[str, str]) -> Findings:
        return check(tmp_path, "sagemaker-tritonserver", files)

    @pytest.mark.parametrize(
        "files",
        [
            {"config.pbtxt": PYTHON, "1/model.py": ""},
            {"config.pbtxt": f'name: "anything" {PYTHON}', "1/model.py": "", "labels/x.txt": ""},
            {"iris/config.pbtxt": f'name: "iris" {PYTHON}', "iris/1/model.py": ""},
            {"config.pbtxt": 'platform: "onnxruntime_onnx"', "2/model.onnx": "", "1/": ""},
            {"config.pbtxt": 'backend: "tensorflow"', "1/model.savedmodel/saved_model.pb": ""},
            {"config.pbtxt": 'backend: "onnxruntime" default_model_filename: "x.onnx"', "1/x.onnx": ""},
            {"config.pbtxt": 'backend: "fil"', "1/xgboost.json": ""},
            {"config.pbtxt": "max_batch_size: 8", "1/model.onnx": ""},
            {"config.pbtxt": f"{PYTHON} version_policy {{ specific {{ versions: [1] }} }}", "1/model.py": "", "2/": ""},
            {"e/config.pbtxt": ENSEMBLE, "e/1/": "", **STEPS},
            {"e/config.pbtxt": ENSEMBLE, "e/1/.keep": "", **STEPS},
        ],
    )
    def test_accepts_a_repository(self, tmp_path: Path, files: dict[str, str]) -> None:
        assert self.check(tmp_path, files) == Findings()

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"model.onnx": ""}, "path must hold 'config.pbtxt' at its root, or one model's folder with it"),
            ({"1/model.onnx": ""}, "got neither: add 'config.pbtxt'"),
            ({"iris/weights.bin": ""}, "numeric version folder, 'iris/1/'"),
            ({"iris/1/weights.bin": ""}, "path must hold 'iris/config.pbtxt'"),
            ({"config.pbtxt": "backend: python", "1/x": ""}, "line 1: backend must be a quoted string, got python"),
            ({"config.pbtxt": f"{PYTHON}\n}}", "1/x": ""}, "line 2, column 1: expected a field's name, got '}'"),
            ({"config.pbtxt": f'{PYTHON} max_batch_size: "8"', "1/model.py": ""}, "max_batch_size must be an int32"),
            ({"config.pbtxt": PYTHON, "v1/model.py": ""}, "'1/model.py', got 'v1': name it by its number"),
            ({"config.pbtxt": PYTHON, "01/model.py": ""}, "'1/model.py', got '01'"),
            ({"config.pbtxt": PYTHON, "1/model.py": "", "2/x.py": ""}, "'2/model.py' for the backend 'python'"),
            ({"config.pbtxt": "max_batch_size: 8", "1/x": ""}, "'config.pbtxt' must have a backend"),
            ({"config.pbtxt": f'{PYTHON} platform: "tensorrt_plan"', "1/model.py": ""}, "one of platform and backend"),
            (
                {"config.pbtxt": f"{PYTHON} version_policy {{ specific {{ versions: 3 }} }}", "1/model.py": ""},
                "must serve versions that are in the archive, got 3",
            ),
            ({**STEPS}, "got a, b, of which none is"),
            (
                {"e/config.pbtxt": ENSEMBLE, "e/1/x": "", "f/config.pbtxt": ENSEMBLE, "f/1/x": "", **STEPS},
                "e and f are",
            ),
            (
                {"e/config.pbtxt": ENSEMBLE.replace('"', "'"), "e/1/x": "", **STEPS},
                "must say 'platform: \"ensemble\"' in these very characters",
            ),
            ({"e/config.pbtxt": ENSEMBLE, "e/1/x": "", "a/config.pbtxt": PYTHON, "a/1/model.py": ""}, "model_name 'b'"),
            ({"e/config.pbtxt": 'platform: "ensemble"', "e/1/x": ""}, "must have the steps of the ensemble"),
            ({"e/config.pbtxt": ENSEMBLE, **STEPS}, "path must hold a numeric version folder, 'e/1/'"),
            (
                {"e/config.pbtxt": ENSEMBLE, "e/1/x": "", **STEPS, "a/config.pbtxt": f'name: "c" {PYTHON}'},
                "'a/config.pbtxt' must have the name of its folder, 'a', got 'c'",
            ),
            (
                {"config.pbtxt": f"{PYTHON} ensemble_scheduling {{ }}", "1/model.py": ""},
                'must have platform "ensemble" for its ensemble_scheduling',
            ),
        ],
    )
    def test_refuses(self, tmp_path: Path, files: dict[str, str], expected: str) -> None:
        assert expected in problem(self.check(tmp_path, files))

    def test_refuses_an_ensemble_without_its_models(self, tmp_path: Path) -> None:
        findings = self.check(tmp_path, {"config.pbtxt": ENSEMBLE, "1/x": ""})
        assert ["'a'" in findings.problems[0], "'b'" in findings.problems[1]] == [True, True]

    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"config.pbtxt": f"{PYTHON} max_batchsize: 8", "1/model.py": ""}, "tritonUnknownField"),
            ({"config.pbtxt": f"{PYTHON} input {{ data_type: FP32 }}", "1/model.py": ""}, "tritonUnknownField"),
            ({"iris/config.pbtxt": f'name: "other" {PYTHON}', "iris/1/model.py": ""}, "tritonModelName"),
            ({"iris/1/model.onnx": ""}, "tritonNoConfig"),
        ],
    )
    def test_warns(self, tmp_path: Path, files: dict[str, str], expected: str) -> None:
        assert warning(self.check(tmp_path, files)) == expected

    @pytest.mark.parametrize("name", ["iris", "language"])
    def test_accepts_the_samples(self, root: Path, name: str) -> None:
        _, contents = inspect(root / "stacks" / "models" / "triton" / name)
        assert check_layout(contents, ModelServer("sagemaker-tritonserver")) == Findings()


@pytest.mark.parametrize(
    ("family", "files"),
    [
        ("xgboost", {"model.json": b"", "code/inference.py": b"code"}),
        ("sagemaker-tritonserver", {"config.pbtxt": PYTHON.encode(), "1/model.py": b""}),
        (
            "sagemaker-tritonserver",
            {"config.pbtxt": b'backend: "x" default_model_filename: "model.json"', "1/model.json": b""},
        ),
    ],
)
def test_refuses_what_is_loaded_but_empty(tmp_path: Path, family: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert "without content" in problem(check_layout(inspect(tmp_path)[1], ModelServer(family)))
