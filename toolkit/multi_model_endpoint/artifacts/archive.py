"""Model archives: the same, byte for byte in its tar, from the same files on any machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import InvalidModelError, reading, writing
from .file import UnchangedFile
from .members import MAX_MEMBERS, folders_above, member_problem, name_problem
from .unzip import unzipped

IGNORED = {"__pycache__", ".DS_Store"}

_TEXTS = ("config.pbtxt",)
_TEXT_BYTES = 1024**2
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LFS_POINTER_BYTES = 1024
# What no framework writes without content; a marker such as __init__.py may be empty
_NEVER_EMPTY = (
    *(".bst", ".engine", ".gguf", ".h5", ".joblib", ".keras", ".mar", ".model", ".onnx", ".pickle", ".pkl", ".plan"),
    *(".pt", ".pt2", ".pth", ".safetensors", ".tflite", ".ubj", "pytorch_model.bin", "saved_model.pb", "xgboost-model"),
)
_SHOWN = 3


@dataclass(frozen=True)
class Contents:
    """What is in a model, for checking its layout.

    Attributes:
        files: The names of its files, sorted.
        folders: The folders that have no file, such as the version folder of a Triton ensemble.
        texts: The files that a layout check reads, by name: each ``config.pbtxt``.
        size: The bytes of all files.
        empty: The files without content.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    texts: dict[str, bytes]
    size: int
    empty: tuple[str, ...] = ()


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


def _go_on() -> None:
    """Never end early."""


@contextmanager
def packed(source: str | os.PathLike[str], check: Callable[[], None] = _go_on) -> Iterator[Artifact]:
    """Pack a model directory, or repack a ``.tar.gz``, into a file that exists inside the ``with`` block.

    Members are sorted and carry no clock or owner, and are executable or not. Folders are members only where they have
    no file.

    Args:
        source: The directory or archive.
        check: Called all the time while packing; what it raises ends it.

    Raises:
        InvalidModelError: If there is no such model, it is empty, can't be read, changes meanwhile, or holds anything
            but plain files.
    """
    with tempfile.TemporaryDirectory(prefix="mme-model-") as folder:
        target = Path(folder, "model.tar.gz")
        with writing(), _members(Path(source), check) as members:
            contents = _contents(members)
            digest = _write(members, target, check)
        yield Artifact(target, digest, contents)


def inspect(source: str | os.PathLike[str]) -> tuple[str, Contents]:
    """The digest and the contents of a model, as ``packed`` gives them, without compressing anything.

    Raises:
        InvalidModelError: As ``packed``.
    """
    with writing(), _members(Path(source), _go_on) as members:
        contents = _contents(members)
        return _write(members, None, _go_on), contents


@contextmanager
def _members(path: Path, check: Callable[[], None]) -> Iterator[list[_Member]]:
    with reading(path):
        exists, is_dir, is_file = path.exists(), path.is_dir(), path.is_file()
    if is_dir:
        with reading(path):
            members = _checked(path, _walk(path))
        yield members
    elif is_file and path.name.endswith((".tar.gz", ".tgz")):
        with unzipped(path, check) as archive:
            yield _checked(path, _archived(path, archive))
    else:
        state = "which is neither" if exists else "which does not exist"
        raise InvalidModelError([f"path must be a model's directory or .tar.gz file, got '{path}', {state}"])


def _checked(path: Path, members: Iterable[_Member]) -> list[_Member]:
    found: list[_Member] = []
    folders: set[str] = set()
    for member in members:
        found.append(member)
        folders.update(folders_above(member.name))
        if len(found) + len(folders) > MAX_MEMBERS:
            raise _too_many(path)
    found.sort(key=lambda member: member.name)
    files = [member for member in found if member.open]
    if not files:
        raise InvalidModelError([f"path must hold a model, got '{path}', which has no files"])
    problems = []
    folders.update(member.name for member in found if not member.open)
    if clashing := [file.name for file in files if file.name in folders]:
        problems.append(f"path must not hold a file and a folder of one name, got {_some(clashing)} in '{path}'")
    if empty := [file.name for file in files if not file.size and file.name.endswith(_NEVER_EMPTY)]:
        problems.append(f"path must hold a model, got {_some(empty)} without content in '{path}': write it again")
    elif not any(file.size for file in files):
        problems.append(f"path must hold a model, got '{path}', whose files are all empty")
    if pointers := [file.name for file in files if _is_pointer(file)]:
        problems.append(
            f"path must hold files, got Git LFS's pointers {_some(pointers)} in '{path}': run 'git lfs pull'"
        )
    if problems:
        raise InvalidModelError(problems)
    return found


def _too_many(path: Path) -> InvalidModelError:
    return InvalidModelError([f"path must hold at most {MAX_MEMBERS} files and folders, got more in '{path}'"])


def _is_pointer(file: _Member) -> bool:
    if file.open is None or not len(_LFS_POINTER) <= file.size < _LFS_POINTER_BYTES:
        return False
    with file.open() as content:
        return content.read(len(_LFS_POINTER)) == _LFS_POINTER


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _unreadable(error: OSError) -> None:
    """For ``os.walk``, which passes over what it can't list."""
    raise error


def _walk(root: Path) -> Iterator[_Member]:
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = [name for name in folders if name not in IGNORED]
        for name in folders:
            if Path(folder, name).is_symlink():
                raise InvalidModelError(
                    [f"path must hold files, got the linked folder {str(Path(folder, name))!r}: copy it"]
                )
        kept = [Path(folder, name) for name in files if name not in IGNORED]
        for file in kept:
            if not file.is_file():
                raise InvalidModelError([f"path must hold plain files, got {str(file)!r}: remove it, or mend the link"])
            stat = file.stat()
            name = _named(file, root)
            content = partial(UnchangedFile, file, stat.st_size)
            yield _Member(name, stat.st_size, bool(stat.st_mode & 0o100), content)
        if not kept and not folders and Path(folder) != root:
            yield _folder(_named(Path(folder), root))


def _named(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    if problem := name_problem(name):
        raise InvalidModelError([f"path must hold files that can be unpacked, got {str(path)!r}, which {problem}"])
    return name


def _folder(name: str) -> _Member:
    return _Member(name, 0, True, None)


def _archived(path: Path, archive: tarfile.TarFile) -> Iterator[_Member]:
    files: set[str] = set()
    folders: set[str] = set()
    for count, info in enumerate(archive, 1):
        if problem := member_problem(info):
            raise InvalidModelError(
                [f"path must be an archive of plain files, got {info.name!r} in '{path}', which {problem}"]
            )
        if count > MAX_MEMBERS:
            raise _too_many(path)
        name = PurePosixPath(info.name)
        if info.isdir():
            folders.add(str(name))
            continue
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
                texts[member.name] = content.read(min(member.size, _TEXT_BYTES))
    return Contents(
        tuple(member.name for member in members if member.open),
        tuple(member.name for member in members if not member.open),
        texts,
        sum(member.size for member in members),
        tuple(member.name for member in members if member.open and not member.size),
    )


class _Tee(io.RawIOBase):
    """A stream that digests what goes through it."""

    def __init__(self, target: gzip.GzipFile | None, check: Callable[[], None]) -> None:
        self._target = target
        self._check = check
        self._position = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._check()
        self.digest.update(data)
        if self._target is not None:
            self._target.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


def _write(members: list[_Member], target: Path | None, check: Callable[[], None]) -> str:
    """Write the archive, or with no target only digest it."""
    if target is None:
        return _write_tar(members, _Tee(None, check))
    with target.open("wb") as file, gzip.GzipFile(fileobj=file, filename="", mode="wb", mtime=0) as zipped:
        return _write_tar(members, _Tee(zipped, check))


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
