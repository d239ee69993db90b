"""The folder for working files: its user's alone, gone at the end, and after a hard end gone at the next start."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

_PREFIX = "mme-local-"
_LOCK = "lock"


@contextmanager
def working_folder(root: Path | None) -> Iterator[Path]:
    """A folder with a ``tmp`` in it: this one, of which ``tmp`` is removed at the end, or a temporary one.

    From now on nobody but the user may read what this process and its children write.

    Raises:
        click.ClickException: The folder cannot be made.
    """
    os.umask(0o077)
    try:
        if root is None:
            _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX)) if root is None else root.resolve()
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    except OSError as error:
        named = "the folder for temporary files" if root is None else f"--root {root}"
        raise click.ClickException(
            f"{named} cannot be used: {error.strerror or error}; choose another --root"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder if root is None else folder / "tmp", ignore_errors=True)
        lock_of(folder).unlink(missing_ok=True)
        os.close(lock)


def lock_of(folder: Path) -> Path:
    """The file in the folder that this process holds locked for as long as it lives."""
    return folder / _LOCK


def _lock(folder: Path) -> int:
    """Lock the folder for as long as this process lives, which children don't inherit."""
    new = folder / f"{_LOCK}-{os.getpid()}"
    descriptor = os.open(new, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # only now, so that there is no moment in which the folder looks abandoned
    new.rename(lock_of(folder))
    return descriptor


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(lock_of(folder), os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
