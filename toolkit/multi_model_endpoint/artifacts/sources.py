"""The models in a folder of models."""

from __future__ import annotations

import os
from pathlib import Path

from .archive import IGNORED
from .errors import InvalidModelError, invalid, reading
from .findings import Problem

_ARCHIVES = (".tar.gz", ".tgz")


def models_in(directory: str | os.PathLike[str], folder: str | None = None) -> dict[str, Path]:
    """The models of a folder by name: one per sub-folder or archive, in the order of their names.

    A sub-folder is one model, whatever is in it. Files that are no archives, such as a ``README.md``, and what begins
    with a dot are passed over.

    Args:
        directory: The folder.
        folder: What to put before each name, as ``tenant_a`` in ``tenant_a/resnet``.

    Raises:
        InvalidModelError: If there is no such folder, it holds no model, or two of the same name.
    """
    root = Path(directory)
    with reading(root):
        return _found(root, folder)


def _found(root: Path, folder: str | None) -> dict[str, Path]:
    if not root.is_dir():
        raise invalid("noModels", f"directory must be a folder of models, got '{root}', which is none")
    found: dict[str, Path] = {}
    problems = []
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in IGNORED:
            continue
        if not path.exists():
            problems.append(
                Problem(
                    "notPlainFiles", f"directory must hold models, got the broken link {str(path)!r}: remove or mend it"
                )
            )
            continue
        name = model_name_of(path)
        if name is None:
            continue
        if folder:
            name = f"{folder.strip('/')}/{name}"
        if name in found:
            problems.append(
                Problem(
                    "duplicateModelName",
                    f"directory must hold one model of a name, got '{found[name].name}' and '{path.name}' in '{root}': "
                    "rename one",
                )
            )
        found.setdefault(name, path)
    if not found and not problems:
        problems.append(
            Problem(
                "noModels",
                f"directory must hold a sub-folder or .tar.gz file per model, got '{root}', which has neither",
            )
        )
    if problems:
        raise InvalidModelError(problems)
    return dict(sorted(found.items()))


def model_name_of(path: Path) -> str | None:
    """What a model is called by its path: a folder's or an archive's name; None for any other file."""
    with reading(path):
        if path.is_dir():
            return path.name
    return next((path.name.removesuffix(suffix) for suffix in _ARCHIVES if path.name.endswith(suffix)), None)
