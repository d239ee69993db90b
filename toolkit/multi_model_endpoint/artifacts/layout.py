"""What must be where in a model, by the framework whose container loads it.

Read from the containers' sources, as each function says. The layout of a framework that is not here is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from .archive import Contents
from .findings import Findings
from .triton import check_triton

_NO_XGBOOST_MODEL = (".py", ".txt", ".md", ".csv", ".yaml", ".yml", ".log", ".sh")


@dataclass(frozen=True)
class ModelServer:
    """What will load a model.

    Attributes:
        family: The image's family, by AWS's name; None for one that is not known.
        program: The inference script's name, None when it is not known.
    """

    family: str | None
    program: str | None = "inference.py"


def check_layout(contents: Contents, server: ModelServer) -> Findings:
    """Check a model against what its server expects."""
    findings = Findings()
    check = CHECKS.get(server.family or "")
    if check is not None:
        check(contents, server.program, findings)
    return findings


def _xgboost(contents: Contents, _: str | None, findings: Findings) -> None:
    """Every file at the root is loaded as a booster: https://github.com/aws/sagemaker-xgboost-container."""
    models = [name for name in _at_root(contents) if not name.startswith(".")]
    if not models:
        findings.problem(
            "xgboostModelMissing",
            f"path must hold the booster as a file at its root, 'xgboost-model', got {_shown(contents)}: move it there",
        )
    for name in models:
        if name.endswith(_NO_XGBOOST_MODEL):
            findings.problem(
                "xgboostNotABooster",
                f"path must hold nothing but boosters at its root, since the XGBoost container loads every file there "
                f"as one, got '{name}': move it to a sub-folder",
            )
        elif name in contents.empty:
            findings.problem(
                "emptyModel", f"path must hold boosters at its root, got '{name}' without content: write it again"
            )
    if len(models) > 1:
        findings.warn(
            "xgboostSeveralModels",
            f"path holds {len(models)} files at its root ({', '.join(models)}): the XGBoost container loads each as a "
            "booster and averages their predictions; leave one, 'xgboost-model', if that is not what you mean",
        )


def _sklearn(contents: Contents, program: str | None, findings: Findings) -> None:
    """What the container's program loads: https://github.com/aws/sagemaker-scikit-learn-container."""
    if program is not None and f"code/{program}" in contents.files:
        findings.warn(
            "sklearnInferenceScript",
            f"path holds 'code/{program}', which the scikit-learn container does not read from a model of a "
            "multi-model endpoint: it has one program for all models, MultiModelContainer's source_directory",
        )


def _pytorch(contents: Contents, program: str | None, findings: Findings) -> None:
    """``model.pt`` as TorchScript, a script, or a TorchServe archive.

    https://github.com/aws/sagemaker-pytorch-inference-toolkit
    """
    if "code/requirements.txt" in contents.files:
        findings.warn(
            "pytorchRequirements",
            "path holds 'code/requirements.txt', which the PyTorch container does not install for a model of a "
            "multi-model endpoint: bring what the image lacks in 'code/', or in an image of your own",
        )
    archive = any(
        PurePosixPath(name).parts[-2:] == ("MAR-INF", "MANIFEST.json") and name.count("/") < 3
        for name in contents.files
    )
    if program is None or archive or _script(contents, program) or "model.pt" in contents.files:
        return
    message = (
        f"path must hold 'code/{program}' with a model_fn, or a TorchScript model as 'model.pt' at its root, got "
        f"{_shown(contents)}"
    )
    others = [name for name in _at_root(contents) if name.endswith((".pt", ".pth"))]
    if len(others) == 1:
        findings.warn("pytorchModelName", f"{message}: rename '{others[0]}', not every container's version finds it")
    else:
        findings.problem("pytorchModelMissing", f"{message}: add one of them")


def _tensorflow(contents: Contents, program: str | None, findings: Findings) -> None:
    """TensorFlow Serving's base path: https://github.com/aws/sagemaker-tensorflow-serving-container."""
    models = [PurePosixPath(name) for name in contents.files if re.search(r"(^|/)saved_model\.pb(txt)?$", name)]
    versions = [path for path in models if len(path.parts) == 2 and path.parts[0].isdigit()]
    if not versions:
        nested = [path for path in models if len(path.parts) > 2 and path.parts[-2].isdigit()]
        way_out = (
            f"move '{nested[0].parent}' to the root"
            if nested
            else "move it into a folder '1'"
            if models
            else "export it with tf.saved_model.save(model, '…/1')"
        )
        findings.problem(
            "tensorflowModelMissing",
            "path must hold a version folder with a SavedModel at its root, '1/saved_model.pb', got "
            f"{_shown(contents)}: {way_out}",
        )
    if program is not None and f"code/{program}" in contents.files:
        findings.warn(
            "tensorflowInferenceScript",
            f"path holds 'code/{program}', which the TensorFlow container does not read from a model of a multi-model "
            "endpoint: it has one script for all models, SAGEMAKER_MULTI_MODEL_UNIVERSAL_BUCKET and _PREFIX",
        )


def _triton(contents: Contents, _: str | None, findings: Findings) -> None:
    check_triton(contents, findings)


def _script(contents: Contents, program: str) -> bool:
    return program in contents.files or f"code/{program}" in contents.files


def _at_root(contents: Contents) -> list[str]:
    return [name for name in contents.files if "/" not in name]


def _shown(contents: Contents) -> str:
    shown = ", ".join(f"'{name}'" for name in contents.files[:5])
    return f"{shown} and {len(contents.files) - 5} more" if len(contents.files) > 5 else shown


_Check = Callable[[Contents, str | None, Findings], None]

CHECKS: dict[str, _Check] = {
    "pytorch": _pytorch,
    "sagemaker-tritonserver": _triton,
    "sklearn": _sklearn,
    "tensorflow": _tensorflow,
    "xgboost": _xgboost,
}
