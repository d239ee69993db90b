"""Model archives: the same, byte for byte in its tar, from the same files on any machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

IGNORED = {"__pycache__", ".DS_Store"}

_TEXTS = ("config.pbtxt",)
_TEXT_BYTES = 1024**2


class InvalidModelError(ValueError):
    """Something that can't be a model.

    Attributes:
        problems: One message per problem.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True)
class Contents:
    """What is in a model, for checking its layout.

    Attributes:
        files: The names of its files, sorted.
        folders: The folders that have no file, such as the version folder of a Triton ensemble.
        texts: The files that a layout check reads, by name: each ``config.pbtxt``.
        size: The bytes of all files.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    texts: dict[str, bytes]
    size: int


@dataclass(frozen=True)
class Artifact:
    """A packed model.

    Attributes:
        path: The ``.tar.gz`` file.
        digest: SHA-256 of the tar inside it: compressors differ between machines, so the gzip's own would not do.
        contents: What is in it.
    """

    path: Path
    digest: str
    contents: Contents


@dataclass(frozen=True)
class _Member:
    """A file to pack, or with no ``open`` a folder without files."""

    name: str
    size: int
    executable: bool
    open: Callable[[], IO[bytes]] | None


@contextmanager
def packed(source: str | os.PathLike[str]) -> Iterator[Artifact]:
    """Pack a model directory, or repack a ``.tar.gz``, into a file that exists inside the ``with`` block.

    Members are sorted and carry no clock or owner, and are executable or not. Folders are members only where they have
    no file.

    Raises:
        InvalidModelError: If there is no such model, it is empty, or holds anything but plain files.
    """
    with tempfile.TemporaryDirectory(prefix="mme-model-") as folder:
        target = Path(folder, "model.tar.gz")
        with _members(Path(source)) as members:
            contents = _contents(members)
            digest = _write(members, target)
        yield Artifact(target, digest, contents)


def inspect(source: str | os.PathLike[str]) -> tuple[str, Contents]:
    """The digest and the contents of a model, as ``packed`` gives them, without compressing anything.

    Raises:
        InvalidModelError: As ``packed``.
    """
    with _members(Path(source)) as members:
        return _write(members, None), _contents(members)


@contextmanager
def _members(path: Path) -> Iterator[list[_Member]]:
    if path.is_dir():
        yield _checked(path, _walk(path))
    elif path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
        with _unzipped(path) as archive:
            yield _checked(path, _archived(path, archive))
    else:
        state = "which is neither" if path.exists() else "which does not exist"
        raise InvalidModelError([f"path must be a model's directory or .tar.gz file, got '{path}', {state}"])


def _checked(path: Path, members: Iterable[_Member]) -> list[_Member]:
    found = sorted(members, key=lambda member: member.name)
    if not any(member.open for member in found):
        raise InvalidModelError([f"path must hold a model, got '{path}', which has no files"])
    return found


def _walk(root: Path) -> Iterator[_Member]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in IGNORED]
        for name in folders:
            if Path(folder, name).is_symlink():
                raise InvalidModelError(
                    [f"path must hold files, got the linked folder '{Path(folder, name)}': copy it"]
                )
        kept = [Path(folder, name) for name in files if name not in IGNORED]
        for file in kept:
            if not file.is_file():
                raise InvalidModelError([f"path must hold plain files, got '{file}': remove it, or mend the link"])
            stat = file.stat()
            yield _Member(
                file.relative_to(root).as_posix(), stat.st_size, bool(stat.st_mode & 0o100), partial(io.FileIO, file)
            )
        if not kept and not folders and Path(folder) != root:
            yield _folder(Path(folder).relative_to(root).as_posix())


def _folder(name: str) -> _Member:
    return _Member(name, 0, True, None)


@contextmanager
def _unzipped(path: Path) -> Iterator[tarfile.TarFile]:
    """The tar inside a ``.tar.gz``, on disk: sorting its members would unzip it anew for each."""
    with tempfile.TemporaryFile() as plain:
        try:
            with gzip.open(path) as zipped:
                shutil.copyfileobj(zipped, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                yield archive
        except (gzip.BadGzipFile, zlib.error, EOFError, tarfile.TarError) as error:
            raise InvalidModelError([f"path must be a gzipped tar archive, got '{path}': {error}"]) from error


def _archived(path: Path, archive: tarfile.TarFile) -> Iterator[_Member]:
    files: set[str] = set()
    folders: set[str] = set()
    for info in archive:
        name = PurePosixPath(info.name)
        if name.is_absolute() or ".." in name.parts:
            raise InvalidModelError([f"path must be an archive of relative names, got {info.name!r} in '{path}'"])
        if info.isdir():
            folders.add(str(name))
            continue
        if not info.isreg():
            raise InvalidModelError([f"path must be an archive of plain files, got the link {info.name!r} in '{path}'"])
        if str(name) in files:
            raise InvalidModelError(
                [f"path must be an archive without duplicates, got {info.name!r} twice in '{path}'"]
            )
        files.add(str(name))
        yield _Member(str(name), info.size, bool(info.mode & 0o100), partial(_content, archive, info))
    parents = {str(parent) for name in files | folders for parent in PurePosixPath(name).parents}
    for folder in folders - parents:
        yield _folder(folder)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None  # a regular member
    return content


def _contents(members: list[_Member]) -> Contents:
    texts = {}
    for member in members:
        if member.open and PurePosixPath(member.name).name in _TEXTS:
            with member.open() as content:
                texts[member.name] = content.read(_TEXT_BYTES)
    return Contents(
        tuple(member.name for member in members if member.open),
        tuple(member.name for member in members if not member.open),
        texts,
        sum(member.size for member in members),
    )


class _Tee(io.RawIOBase):
    """A stream that digests what goes through it."""

    def __init__(self, target: gzip.GzipFile | None) -> None:
        self._target = target
        self._position = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.digest.update(data)
        if self._target is not None:
            self._target.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


def _write(members: list[_Member], target: Path | None) -> str:
    """Write the archive, or with no target only digest it."""
    if target is None:
        return _write_tar(members, _Tee(None))
    with target.open("wb") as file, gzip.GzipFile(fileobj=file, filename="", mode="wb", mtime=0) as zipped:
        return _write_tar(members, _Tee(zipped))


def _write_tar(members: list[_Member], tee: _Tee) -> str:
    with tarfile.open(fileobj=tee, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.mode = 0o755 if member.executable else 0o644
            if member.open is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
                continue
            info.size = member.size
            with member.open() as content:
                archive.addfile(info, content)
    return tee.digest.hexdigest()
