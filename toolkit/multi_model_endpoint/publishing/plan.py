"""What is to be pushed where, checked before anything is uploaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multi_model_endpoint.artifacts import (
    InvalidModelError,
    ModelServer,
    check_layout,
    each,
    inspect,
    model_name_problems,
    models_in,
    object_key_problems,
    target_model,
)
from multi_model_endpoint.artifacts.errors import invalid
from multi_model_endpoint.artifacts.findings import Advice, Problem
from multi_model_endpoint.artifacts.sources import model_name_of
from multi_model_endpoint.store_url import StoreUrl


@dataclass(frozen=True)
class Planned:
    """A model to push.

    Attributes:
        source: Its directory or archive.
        target_model: What it will be called.
        digest: Of its content.
        size: The bytes of its files.
    """

    source: Path
    target_model: str
    digest: str
    size: int


def find_sources(sources: Sequence[Path], *, name: str | None, folder: str | None, each: bool) -> dict[str, Path]:
    """The models to push by name.

    Raises:
        InvalidModelError: If a source has no model, or two have the same name.
    """
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for source in sources:
        try:
            models = models_in(source, folder) if each else _single(source, name, folder)
        except InvalidModelError as error:
            problems += error.problems
            continue
        for model_name, path in models.items():
            if model_name in found:
                problems.append(
                    Problem(
                        "duplicateModelName",
                        f"{model_name}: got both '{found[model_name]}' and '{path}': give them other names",
                    )
                )
            found.setdefault(model_name, path)
    if problems:
        raise InvalidModelError(problems)
    return found


def plan(
    models: dict[str, Path], destination: StoreUrl, family: Callable[[Path], str | None]
) -> tuple[list[Planned], list[Advice]]:
    """Check all models and name them by content.

    Args:
        models: Where they are, by name.
        destination: Where they go.
        family: By a model's path: of the image that its layout is checked for, or None.

    Returns:
        The models, and what their layouts' checks warn of.

    Raises:
        InvalidModelError: With what is wrong with any of them.
    """
    planned: list[Planned] = []
    warnings: list[Advice] = []
    problems: list[Problem] = []
    for name, inspected in each("reading models", models, inspect).items():
        own = [*model_name_problems("name", name)]
        if isinstance(inspected, InvalidModelError):
            problems += [problem.of(name) for problem in (*own, *inspected.problems)]
            continue
        digest, contents = inspected
        target = target_model(name, digest)
        own += object_key_problems("name", len(destination.prefix) + len(target))
        findings = check_layout(contents, ModelServer(family(models[name])))
        problems += [problem.of(name) for problem in (*own, *findings.problems)]
        warnings += [warning.of(name) for warning in findings.warnings]
        planned.append(Planned(models[name], target, digest, contents.size))
    if problems:
        raise InvalidModelError(problems)
    return planned, warnings


def _single(source: Path, name: str | None, folder: str | None) -> dict[str, Path]:
    # Not Path.resolve, which raises at a link to itself
    named = name or model_name_of(Path(os.path.realpath(source)))
    if named is None:
        raise invalid("notAModel", f"SOURCE must be a model's directory or .tar.gz file, got '{source}'")
    return {f"{folder.strip('/')}/{named}" if folder else named: source}
