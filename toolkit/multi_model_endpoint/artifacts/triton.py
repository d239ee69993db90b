"""Triton's model repository in one archive, as its SageMaker front-end reads it.

The archive is one model, with ``config.pbtxt`` at its root, or holds a folder per model: a single one, or several of
which one is the ensemble that calls the others. The model that is served gets the name of the target model, whatever
its configuration says; the others must be called like their folders.
https://github.com/triton-inference-server/server/blob/main/src/sagemaker_server.cc
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

from .archive import Contents
from .findings import Findings
from .textproto import Message, TextFormatError, Value, parse
from .triton_schema import schema_problems

CONFIG = "config.pbtxt"

_PLATFORM_BACKENDS = {
    "onnxruntime_onnx": "onnxruntime",
    "pytorch_libtorch": "pytorch",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
    "tensorrt_plan": "tensorrt",
}
# What each backend looks for in a version folder when default_model_filename is not given
_MODEL_FILES = {
    "onnxruntime": ("model.onnx",),
    "openvino": ("model.xml",),
    "python": ("model.py",),
    "pytorch": ("model.pt", "model.pt2", "model.py"),
    "tensorflow": ("model.savedmodel", "model.graphdef"),
    "tensorrt": ("model.plan",),
}
# What Triton can complete a configuration from
_COMPLETED = tuple(name for names in _MODEL_FILES.values() for name in names)
# The front-end finds the ensemble by this text, not by parsing the configuration
_ENSEMBLE_TEXT = re.compile(rb'platform:\s*"ensemble"')


def check_triton(contents: Contents, findings: Findings) -> None:
    """Check a whole archive."""
    folders = sorted({name.split("/")[0] for name in contents.files if "/" in name} | {*_top(contents.folders)})
    if CONFIG in contents.files:
        _check_model(_Model("", contents, findings), served=True, siblings=())
        return
    if not folders or (all(_is_version(folder) for folder in folders)):
        findings.problem(
            "tritonConfigMissing",
            f"path must hold '{CONFIG}' at its root, or one model's folder with it, got neither: add '{CONFIG}'",
        )
        return
    models = {folder: _Model(folder, contents, findings) for folder in folders}
    served = folders[0] if len(folders) == 1 else _ensemble(models, findings)
    for folder, model in models.items():
        _check_model(model, served=folder == served, siblings=folders)


@dataclass
class _Model:
    """One model's folder."""

    folder: str
    contents: Contents
    findings: Findings
    config: Message = field(init=False)
    configured: bool = field(init=False)
    readable: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        text = self.contents.texts.get(self.path(CONFIG))
        self.configured = text is not None
        self.config = Message()
        try:
            self.config = parse((text or b"").decode())
        except (TextFormatError, UnicodeDecodeError) as error:
            self.readable = False
            self.findings.problem(
                "tritonConfigInvalid", f"'{self.path(CONFIG)}' must be a Triton model configuration, {error}"
            )

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    def text(self, name: str) -> str:
        """A string field; empty when it is not given, as in protocol buffers."""
        value = last(self.config, name)
        return value.decode(errors="replace") if isinstance(value, bytes) else ""

    @cached_property
    def below(self) -> list[str]:
        """All files and folders below, relative to the model's folder."""
        prefix = f"{self.folder}/" if self.folder else ""
        names = [*self.contents.files, *self.contents.folders]
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    @cached_property
    def versions(self) -> list[int]:
        """The version folders: numbers that don't begin with 0, as Triton ignores others."""
        folders = {name.split("/")[0] for name in self.below if "/" in name} | {
            name.removeprefix(f"{self.folder}/") for name in self.contents.folders
        }
        return sorted(int(folder) for folder in folders if _is_version(folder))

    def has(self, name: str) -> bool:
        return any(each == name or each.startswith(f"{name}/") for each in self.below)


def _ensemble(models: dict[str, _Model], findings: Findings) -> str | None:
    """The one of several models that is served."""
    declared = [folder for folder, model in models.items() if model.text("platform") == "ensemble"]
    seen = [
        folder
        for folder, model in models.items()
        if _ENSEMBLE_TEXT.search(model.contents.texts.get(model.path(CONFIG), b""))
    ]
    if len(declared) == 1 and declared == seen:
        return declared[0]
    names = ", ".join(models)
    if len(declared) != 1:
        got = f"{' and '.join(declared)} are" if declared else "none is"
        findings.problem(
            "tritonEnsembleUnclear",
            f"path must hold one model's folder, or several of which exactly one has 'platform: \"ensemble\"', got "
            f"{names}, of which {got}: add each other model under a name of its own",
        )
    else:
        findings.problem(
            "tritonEnsembleUnclear",
            f"'{models[declared[0]].path(CONFIG)}' must say 'platform: \"ensemble\"' in these very characters, and no "
            "other model's: Triton's SageMaker front-end searches for that text, comments included",
        )
    return None


def _check_model(model: _Model, *, served: bool, siblings: Collection[str]) -> None:
    findings = model.findings
    if not model.readable:
        return
    problems = [*schema_problems(model.config)]
    for problem in problems:
        message = f"'{model.path(CONFIG)}' must be a Triton model configuration, {problem.message}"
        if problem.unknown:
            findings.warn("tritonUnknownField", f"{message}: it is misspelt, or newer than this library")
        else:
            findings.problem("tritonConfigInvalid", message)
    if any(not problem.unknown for problem in problems):
        return
    _check_name(model, served)
    platform = model.text("platform")
    if platform == "ensemble":
        _check_steps(model, siblings)
    elif last(model.config, "ensemble_scheduling") is not None:
        findings.problem(
            "tritonEnsembleSteps", f"'{model.path(CONFIG)}' must have platform \"ensemble\" for its ensemble_scheduling"
        )
    backend = model.text("backend")
    expected = _PLATFORM_BACKENDS.get(platform)
    if backend and expected and backend != expected:
        findings.problem(
            "tritonBackendConflict",
            f"'{model.path(CONFIG)}' must have one of platform and backend, got platform {platform!r}, which is of the "
            f"backend {expected!r}, with backend {backend!r}: leave platform out",
        )
    _check_versions(model, backend or expected or "", platform)


def _check_name(model: _Model, served: bool) -> None:
    name = model.text("name")
    if not name or not model.folder or name == model.folder:
        return
    if served:
        model.findings.warn(
            "tritonModelName",
            f"'{model.path(CONFIG)}' has the name {name!r} in the folder '{model.folder}': on a multi-model endpoint "
            "it has no effect, and Triton elsewhere refuses it; leave it out",
        )
    else:
        model.findings.problem(
            "tritonFolderName",
            f"'{model.path(CONFIG)}' must have the name of its folder, {model.folder!r}, got {name!r}: leave it out",
        )


def _check_steps(model: _Model, siblings: Collection[str]) -> None:
    scheduling = last(model.config, "ensemble_scheduling")
    steps = [each.value for each in scheduling.fields if each.name == "step"] if isinstance(scheduling, Message) else []
    if not steps:
        model.findings.problem(
            "tritonEnsembleSteps", f"'{model.path(CONFIG)}' must have the steps of the ensemble, ensemble_scheduling"
        )
    names = dict.fromkeys(last(step, "model_name") for step in steps if isinstance(step, Message))
    for name in names:
        step = name.decode(errors="replace") if isinstance(name, bytes) else ""
        if step in siblings and step != model.folder:
            continue
        where = f"'{step}/{CONFIG}' beside the ensemble's folder" if model.folder else "a folder beside the ensemble's"
        model.findings.problem(
            "tritonEnsembleSteps",
            f"'{model.path(CONFIG)}' must have steps that are in the archive, got model_name {step!r}: add {where}",
        )


def _check_versions(model: _Model, backend: str, platform: str) -> None:
    """Check that what will be served is there."""
    findings = model.findings
    expected = _MODEL_FILES.get(backend, ())
    if named := model.text("default_model_filename"):
        expected = (named,)
    example = model.path(f"1/{expected[0]}" if expected else "1/")
    if not model.versions:
        folders = [name for name in model.below if "/" in name]
        got = f", got '{folders[0].split('/')[0]}'" if folders else ""
        findings.problem(
            "tritonVersionMissing", f"path must hold a numeric version folder, '{example}'{got}: name it by its number"
        )
        return
    served = _served(model)
    missing = [version for version in served if version not in model.versions]
    if missing:
        findings.problem(
            "tritonVersionMissing",
            f"'{model.path(CONFIG)}' must serve versions that are in the archive, got {missing[0]} in version_policy: "
            f"add '{model.path(f'{missing[0]}/')}'",
        )
    if platform == "ensemble" or last(model.config, "cc_model_filenames") is not None:
        return
    if not backend and not platform:
        _check_completed(model, served)
        return
    for version in served:
        if expected and version in model.versions and not any(model.has(f"{version}/{name}") for name in expected):
            findings.problem(
                "tritonModelFileMissing",
                f"path must hold '{model.path(f'{version}/{expected[0]}')}' for the backend {backend!r}: add it, or "
                "name the file that there is in default_model_filename",
            )
        for name in expected:
            if model.path(f"{version}/{name}") in model.contents.empty:
                findings.problem(
                    "emptyModel", f"path must hold a model, got '{model.path(f'{version}/{name}')}' without content"
                )


def _check_completed(model: _Model, served: list[int]) -> None:
    """A model whose configuration says nothing of its backend: Triton guesses it from the files."""
    config = model.path(CONFIG)
    if any(model.has(f"{version}/{name}") for version in served for name in _COMPLETED):
        if not model.configured:
            model.findings.warn(
                "tritonNoConfig", f"path holds no '{config}': Triton completes it where the backend can; add it"
            )
    elif model.configured:
        model.findings.problem("tritonBackendMissing", f"'{config}' must have a backend, such as 'backend: \"python\"'")
    else:
        model.findings.problem(
            "tritonConfigMissing", f"path must hold '{config}', got a model's folder without it: add it"
        )


def _served(model: _Model) -> list[int]:
    """The versions that Triton loads: by default the latest."""
    policy = last(model.config, "version_policy")
    if isinstance(policy, Message):
        if last(policy, "all") is not None:
            return model.versions
        if isinstance(specific := last(policy, "specific"), Message):
            return [each.value for each in specific.fields if each.name == "versions" and isinstance(each.value, int)]
        if isinstance(latest := last(policy, "latest"), Message):
            count = last(latest, "num_versions")
            return model.versions[-count:] if isinstance(count, int) and count > 0 else model.versions[-1:]
    return model.versions[-1:]


def last(message: Message, name: str) -> Value | None:
    """A field's value, None when it is not given."""
    return next((each.value for each in reversed(message.fields) if each.name == name and not each.empty), None)


def _top(folders: Collection[str]) -> set[str]:
    return {folder.split("/")[0] for folder in folders}


def _is_version(folder: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]*", folder, re.ASCII) is not None
