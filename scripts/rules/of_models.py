"""For each rule of models and their files, something that it is about."""

from __future__ import annotations

import errno
import gzip
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from multi_model_endpoint.artifacts import (
    Contents,
    Findings,
    ModelServer,
    check_layout,
    inspect,
    model_name_problems,
    models_in,
    object_key_problems,
)
from multi_model_endpoint.artifacts import members as limits
from multi_model_endpoint.artifacts.archive import Member, _limited
from multi_model_endpoint.artifacts.errors import reading, writing
from multi_model_endpoint.artifacts.file import UnchangedFile
from multi_model_endpoint.artifacts.findings import Problem
from multi_model_endpoint.artifacts.unzip import _unzip
from multi_model_endpoint.registries import fetched
from multi_model_endpoint.registries.packers import PACKERS, MlflowModel

from .scene import Example, Scene, file

_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 1\n"
_CONFIG = "config.pbtxt"


def _layout(family: str, *files: str, **texts: str) -> Findings:
    """What is found in a model of these files, and with these texts in ``config.pbtxt`` of folders."""
    configured = {f"{folder}/{_CONFIG}".removeprefix("root/"): text.encode() for folder, text in texts.items()}
    return check_layout(Contents(tuple(sorted({*files, *configured})), (), configured, 1), ModelServer(family))


def _triton(*files: str, **texts: str) -> list[Problem]:
    return _layout("sagemaker-tritonserver", *files, **texts).problems


def _unreadable(s: Scene) -> None:
    with reading("models/churn"):
        raise PermissionError(errno.EACCES, "Permission denied", "models/churn/xgboost-model")


def _no_space(s: Scene) -> None:
    with writing("cdk.out"):
        raise OSError(errno.ENOSPC, "No space left on device")


def _changed(s: Scene) -> None:
    path = str(file("models/churn/xgboost-model"))
    with UnchangedFile(path, len("weights")), open(path, "ab") as written:
        written.write(b"more")
        written.flush()


def _not_plain(s: Scene) -> None:
    file("models/churn/xgboost-model")
    Path("models/churn/notes").symlink_to("nowhere")
    inspect("models/churn")


def _archive(*names: str) -> Path:
    path = Path("churn.tar.gz")
    member = file("member")
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.add(member, name)
    return path


def _too_many_files(s: Scene) -> None:
    members = (Member(f"{number}.txt", 1, False, None) for number in range(limits.MAX_MEMBERS + 1))
    for _ in _limited(Path("models/churn"), members):
        pass


def _bomb(s: Scene) -> None:
    class Full:
        """A file that has taken all that it may."""

        def write(self, data: bytes) -> None:
            """Take more."""

        def tell(self) -> int:
            """How much it has."""
            return limits.MAX_BYTES + 1

    _unzip(_archive("xgboost-model"), Full(), lambda done, total: None)  # type: ignore[arg-type]


def _same_name(s: Scene) -> None:
    file("models/churn/xgboost-model")
    file("models/churn.tar.gz")
    models_in(Path("models"))


def _mlflow(*flavors: str, fields: Sequence[Mapping[str, Any]] | None = None, **options: str) -> MlflowModel:
    folder = file("model/model.ubj").parent
    return MlflowModel(folder, dict.fromkeys(flavors, options), fields, fields, ["xgboost==3.2.0"])


def _packed(framework: str, model: MlflowModel) -> object:
    target = Path("packed")
    target.mkdir()
    return PACKERS[framework][1](model, target)


class _NoMlflow(MetaPathFinder):
    """A Python without MLflow."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        """Find no part of it."""
        if name.partition(".")[0] == "mlflow":
            raise ModuleNotFoundError("No module named 'mlflow'")


@contextmanager
def _mlflow_with(artifacts: ModuleType | None) -> Iterator[None]:
    """MLflow as the example has it: not installed, or with what it would download."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "mlflow"}
    for name in before:
        del sys.modules[name]
    if artifacts is not None:
        sys.modules.update({"mlflow": ModuleType("mlflow"), "mlflow.artifacts": artifacts})
    finder = _NoMlflow()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ("mlflow", "mlflow.artifacts"):
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _fetched(download: ModuleType | None) -> None:
    with _mlflow_with(download), fetched("mlflow:runs/churn", None):
        pass


def _downloading(flavors: str | None) -> ModuleType:
    def download_artifacts(artifact_uri: str, dst_path: str) -> str:
        if flavors is None:
            raise OSError(f"No such file or directory: '{artifact_uri}'")
        Path(dst_path, "MLmodel").write_text(flavors)
        return dst_path

    module = ModuleType("mlflow.artifacts")
    module.__dict__["download_artifacts"] = download_artifacts
    return module


_STEP = 'platform: "ensemble" ensemble_scheduling { step { model_name: "tokens" } }'

EXAMPLES: dict[str, Example] = {
    "invalidModelName": lambda s: model_name_problems("name", "/resnet"),
    "duplicateModelName": _same_name,
    "urlTooLong": lambda s: object_key_problems("name", 1025),
    "notAModel": lambda s: inspect("models/chrun"),
    "noModels": lambda s: models_in(file("models/readme.txt").parent),
    "pathUnreadable": _unreadable,
    "noSpaceToPack": _no_space,
    "changedWhilePacked": _changed,
    "emptyModel": lambda s: inspect(file("models/churn/xgboost-model", b"").parent),
    "gitLfsPointer": lambda s: inspect(file("models/resnet/model.onnx", _LFS).parent),
    "notPlainFiles": _not_plain,
    "fileNamedLikeFolder": lambda s: inspect(_archive("model", "model/weights")),
    "duplicateFile": lambda s: inspect(_archive("xgboost-model", "xgboost-model")),
    "notAnArchive": lambda s: inspect(file("churn.tar.gz", gzip.compress(b"a zip"))),
    "archiveTooLarge": _bomb,
    "tooManyFiles": _too_many_files,
    "xgboostModelMissing": lambda s: _layout("xgboost", "churn/xgboost-model").problems,
    "xgboostNotABooster": lambda s: _layout("xgboost", "train.py", "xgboost-model").problems,
    "xgboostSeveralModels": lambda s: _layout("xgboost", "fold-1", "fold-2").warnings,
    "sklearnInferenceScript": lambda s: _layout("sklearn", "code/inference.py", "model.joblib").warnings,
    "pytorchModelMissing": lambda s: _layout("pytorch", "weights.bin").problems,
    "pytorchModelName": lambda s: _layout("pytorch", "churn.pt").warnings,
    "pytorchRequirements": lambda s: _layout("pytorch", "code/requirements.txt", "model.pt").warnings,
    "tensorflowModelMissing": lambda s: _layout("tensorflow", "export/1/saved_model.pb").problems,
    "tensorflowInferenceScript": lambda s: _layout("tensorflow", "1/saved_model.pb", "code/inference.py").warnings,
    "tritonConfigMissing": lambda s: _triton("1/weights.bin"),
    "tritonConfigInvalid": lambda s: _triton(root='backend "python"'),
    "tritonUnknownField": lambda s: (
        _layout("sagemaker-tritonserver", "1/model.py", root='backend: "python" max_batch: 8').warnings
    ),
    "tritonNoConfig": lambda s: _layout("sagemaker-tritonserver", "resnet/1/model.onnx").warnings,
    "tritonBackendMissing": lambda s: _triton("1/weights.bin", root="max_batch_size: 8"),
    "tritonBackendConflict": lambda s: _triton("1/model.py", root='platform: "onnxruntime_onnx" backend: "python"'),
    "tritonModelName": lambda s: (
        _layout("sagemaker-tritonserver", "resnet/1/model.py", resnet='name: "resnet50" backend: "python"').warnings
    ),
    "tritonFolderName": lambda s: _triton(
        "tokens/1/model.py", text=_STEP, tokens='name: "tokenizer" backend: "python"'
    ),
    "tritonEnsembleUnclear": lambda s: _triton(a='backend: "python"', b='backend: "python"'),
    "tritonEnsembleSteps": lambda s: _triton("1/empty", root=_STEP),
    "tritonVersionMissing": lambda s: _triton("v1/model.py", root='backend: "python"'),
    "tritonModelFileMissing": lambda s: _triton("1/resnet.onnx", root='backend: "onnxruntime"'),
    "mlflowNotInstalled": lambda s: _fetched(None),
    "mlflowNotFound": lambda s: _fetched(_downloading(None)),
    "mlflowNotAModel": lambda s: _fetched(_downloading("artifacts: {}")),
    "mlflowNotPackable": lambda s: _fetched(_downloading("flavors: {spark: {}}")),
    "mlflowSignature": lambda s: _packed("triton", _mlflow("python_function")),
    "mlflowMadeWith": lambda s: _packed("xgboost", _mlflow("xgboost", data="model.ubj")),
    "mlflowBoosterAnswers": lambda s: _packed(
        "xgboost", _mlflow("xgboost", data="model.ubj", model_class="xgboost.sklearn.XGBClassifier")
    ),
    "mlflowSkopsMissing": lambda s: _packed(
        "sklearn", _mlflow("sklearn", pickled_model="model.ubj", serialization_format="skops")
    ),
    "mlflowMissingInTriton": lambda s: _packed(
        "triton", _mlflow("python_function", fields=[{"name": "age", "type": "long"}])
    ),
}
