"""What is wrong with a model's files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from .findings import Problem


class InvalidModelError(ValueError):
    """Something that can't be a model.

    Attributes:
        problems: One message per problem, each with its ``rule``.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def invalid(rule: str, message: str) -> InvalidModelError:
    """The error with a single problem."""
    return InvalidModelError([Problem(rule, message)])


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say in words which file or folder can't be read."""
    try:
        yield
    except OSError as error:
        problem = f"path must be readable, got {os.fspath(error.filename or path)!r}: {error.strerror or error}"
        raise invalid("pathUnreadable", problem) from error


@contextmanager
def writing(folder: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Say in words that there is no room for what is packed, in a folder or with the temporary files."""
    try:
        yield
    except OSError as error:
        where = tempfile.gettempdir() if folder is None else os.fspath(folder)
        way_out = ", or set TMPDIR to another folder" if folder is None else ""
        problem = f"path can't be packed in {where!r}: {error.strerror or error}; free space there{way_out}"
        raise invalid("noSpaceToPack", problem) from error
