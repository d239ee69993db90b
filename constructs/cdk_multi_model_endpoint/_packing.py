"""Model artifacts: the same archive, byte for byte in its tar, from the same files on any machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ._errors import raise_if_any

_IGNORED = {"__pycache__", ".DS_Store"}


@dataclass(frozen=True)
class Artifact:
    """A packed model.

    Attributes:
        path: The ``.tar.gz`` file.
        digest: SHA-256 of the tar inside it: compressors differ between machines, so the gzip's own would not do.
    """

    path: Path
    digest: str


@dataclass(frozen=True)
class _Member:
    """A file to pack."""

    name: str
    size: int
    executable: bool
    open: Callable[[], IO[bytes]]


@contextmanager
def packed(where: str, source: str | os.PathLike[str]) -> Iterator[Artifact]:
    """Pack a model directory, or repack a ``.tar.gz``, into a file that exists inside the ``with`` block.

    Members are sorted and carry no clock, owner or directory entry of their own, and are executable or not.

    Raises:
        InvalidEndpointError: If there is no such model, it is empty, or holds anything but plain files below it.
    """
    path = Path(source)
    with tempfile.TemporaryDirectory(prefix="mme-model-") as folder:
        target = Path(folder, "model.tar.gz")
        if path.is_dir():
            yield _write(where, path, _walk(where, path), target)
        elif path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
            with _unzipped(where, path) as archive:
                artifact = _write(where, path, _members(where, path, archive), target)
            yield artifact
        else:
            state = "which is neither" if path.exists() else "which does not exist"
            raise_if_any(where, [f"path must be a model's directory or .tar.gz file, got '{path}', {state}"])


def _walk(where: str, root: Path) -> Iterator[_Member]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _IGNORED]
        for name in folders:
            if Path(folder, name).is_symlink():
                raise_if_any(where, [f"path must hold files, got the linked folder '{Path(folder, name)}': copy it"])
        for name in files:
            if name in _IGNORED:
                continue
            file = Path(folder, name)
            if not file.is_file():
                raise_if_any(where, [f"path must hold plain files, got '{file}': remove it, or mend the link"])
            stat = file.stat()
            yield _Member(
                file.relative_to(root).as_posix(), stat.st_size, bool(stat.st_mode & 0o100), partial(io.FileIO, file)
            )


@contextmanager
def _unzipped(where: str, path: Path) -> Iterator[tarfile.TarFile]:
    """The tar inside a ``.tar.gz``, on disk: sorting its members would unzip it anew for each."""
    with tempfile.TemporaryFile() as plain:
        try:
            with gzip.open(path) as zipped:
                shutil.copyfileobj(zipped, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                yield archive
        except (gzip.BadGzipFile, EOFError, tarfile.TarError) as error:
            raise_if_any(where, [f"path must be a gzipped tar archive, got '{path}': {error}"])


def _members(where: str, path: Path, archive: tarfile.TarFile) -> Iterator[_Member]:
    seen = set()
    for info in archive:
        name = PurePosixPath(info.name)
        if name.is_absolute() or ".." in name.parts:
            raise_if_any(where, [f"path must be an archive of relative names, got {info.name!r} in '{path}'"])
        if info.isdir():
            continue
        if not info.isreg():
            raise_if_any(where, [f"path must be an archive of plain files, got the link {info.name!r} in '{path}'"])
        if str(name) in seen:
            raise_if_any(where, [f"path must be an archive without duplicates, got {info.name!r} twice in '{path}'"])
        seen.add(str(name))
        yield _Member(str(name), info.size, bool(info.mode & 0o100), partial(_content, archive, info))


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None  # a regular member
    return content


class _Tee(io.RawIOBase):
    """A stream that also digests what goes through it."""

    def __init__(self, target: gzip.GzipFile) -> None:
        self._target = target
        self._position = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.digest.update(data)
        self._target.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


def _write(where: str, path: Path, members: Iterable[_Member], target: Path) -> Artifact:
    members = sorted(members, key=lambda member: member.name)
    if not members:
        raise_if_any(where, [f"path must hold a model, got '{path}', which has no files"])
    with target.open("wb") as file, gzip.GzipFile(fileobj=file, filename="", mode="wb", mtime=0) as zipped:
        tee = _Tee(zipped)
        with tarfile.open(fileobj=tee, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for member in members:
                info = tarfile.TarInfo(member.name)
                info.size = member.size
                info.mode = 0o755 if member.executable else 0o644
                with member.open() as content:
                    archive.addfile(info, content)
    return Artifact(target, tee.digest.hexdigest())
