"""What is in a model's directory or archive."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import InvalidModelError, invalid, reading
from .file import UnchangedFile
from .findings import Problem
from .members import MAX_MEMBERS, folders_above, member_problem, name_problem
from .progress import Step
from .unzip import unzipped

IGNORED = {"__pycache__", ".DS_Store"}
CLOCK_TICK_NS = 2 * 10**9
"""Of the coarsest clock of a file system, FAT's."""

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
class Member:
    """A file to pack, or with no ``open`` a folder without files."""

    name: str
    size: int
    executable: bool
    open: Callable[[], IO[bytes]] | None


@dataclass(frozen=True)
class Found:
    """A model's directory or archive as it lies there, before any of its files is opened.

    Attributes:
        path: Where it is.
        members: What is in a directory; None for an archive.
        state: Of all files the name, size, inode and times: the content is the same as long as this is.
        settled: Whether its last change is so long ago that a further one would have another time. What was changed
            just now may change once more within one tick of the file system's clock, as git says of its racy index.
    """

    path: Path
    members: tuple[Member, ...] | None
    state: str
    settled: bool


def find(path: Path) -> Found:
    """Look at a model's files without opening them.

    Raises:
        InvalidModelError: If there is no such model, or it holds anything but plain files.
    """
    now = time.time_ns()
    with reading(path):
        exists, is_dir, is_file = path.exists(), path.is_dir(), path.is_file()
        stats: dict[str, os.stat_result] = {}
        if is_dir:
            members = tuple(_limited(path, _walk(str(path), stats)))
        elif is_file and path.name.endswith((".tar.gz", ".tgz")):
            stats[""] = path.stat()
        else:
            state = "which is neither" if exists else "which does not exist"
            raise invalid("notAModel", f"path must be a model's directory or .tar.gz file, got '{path}', {state}")
    files = sorted((name, *_seen(found)) for name, found in stats.items())
    folders = sorted(member.name for member in members if not member.open) if is_dir else []
    return Found(
        path,
        members if is_dir else None,
        hashlib.sha256(repr((files, folders)).encode()).hexdigest(),
        all(max(found.st_ctime_ns, found.st_mtime_ns) < now - CLOCK_TICK_NS for found in stats.values()),
    )


def _seen(found: os.stat_result) -> tuple[int, ...]:
    # the time of change, which no program can set, tells also of edits after which the time of modification was reset
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_mode


@contextmanager
def opened(found: Found, step: Step) -> Iterator[tuple[list[Member], str | None]]:
    """The files of a model, checked and in their order, and of an archive the digest of the tar that it has."""
    if found.members is None:
        with unzipped(found.path, step) as (archive, digest):
            yield _checked(found.path, [*_limited(found.path, _archived(found.path, archive))]), digest
    else:
        with reading(found.path):
            members = _checked(found.path, [*found.members])
        yield members, None


def _limited(path: Path, members: Iterable[Member]) -> Iterator[Member]:
    folders: set[str] = set()
    for count, member in enumerate(members, 1):
        folders.update(folders_above(member.name))
        if count + len(folders) > MAX_MEMBERS:
            raise _too_many(path)
        yield member


def _checked(path: Path, found: list[Member]) -> list[Member]:
    found.sort(key=lambda member: member.name)
    files = [member for member in found if member.open]
    if not files:
        raise invalid("emptyModel", f"path must hold a model, got '{path}', which has no files")
    problems = []
    folders = {folder for member in found for folder in folders_above(member.name)}
    folders.update(member.name for member in found if not member.open)
    if clashing := [file.name for file in files if file.name in folders]:
        problems.append(
            Problem(
                "fileNamedLikeFolder",
                f"path must not hold a file and a folder of one name, got {_some(clashing)} in '{path}'",
            )
        )
    if empty := [file.name for file in files if not file.size and file.name.endswith(_NEVER_EMPTY)]:
        problems.append(
            Problem(
                "emptyModel", f"path must hold a model, got {_some(empty)} without content in '{path}': write it again"
            )
        )
    elif not any(file.size for file in files):
        problems.append(Problem("emptyModel", f"path must hold a model, got '{path}', whose files are all empty"))
    if pointers := [file.name for file in files if _is_pointer(file)]:
        problems.append(
            Problem(
                "gitLfsPointer",
                f"path must hold files, got Git LFS's pointers {_some(pointers)} in '{path}': run 'git lfs pull'",
            )
        )
    if problems:
        raise InvalidModelError(problems)
    return found


def _too_many(path: Path) -> InvalidModelError:
    return invalid("tooManyFiles", f"path must hold at most {MAX_MEMBERS} files and folders, got more in '{path}'")


def _is_pointer(file: Member) -> bool:
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


def _walk(root: str, stats: dict[str, os.stat_result]) -> Iterator[Member]:
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = [name for name in folders if name not in IGNORED]
        for name in folders:
            if os.path.islink(path := os.path.join(folder, name)):
                raise invalid("notPlainFiles", f"path must hold files, got the linked folder {path!r}: copy it")
        kept = [name for name in files if name not in IGNORED]
        for file in kept:
            found = _plain_file(path := os.path.join(folder, file))
            name = _named(path, root)
            stats[name] = found
            content = partial(UnchangedFile, path, found.st_size)
            yield Member(name, found.st_size, bool(found.st_mode & 0o100), content)
        if not kept and not folders and folder != root:
            yield _folder(_named(folder, root))


def _plain_file(path: str) -> os.stat_result:
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        found = None  # a link to nothing, or to itself
    if found is None or not stat.S_ISREG(found.st_mode):
        raise invalid("notPlainFiles", f"path must hold plain files, got {path!r}: remove it, or mend the link")
    return found


def _named(path: str, root: str) -> str:
    name = path[len(root) :].lstrip(os.sep).replace(os.sep, "/")
    if problem := name_problem(name):
        raise invalid("notPlainFiles", f"path must hold files that can be unpacked, got {path!r}, which {problem}")
    return name


def _folder(name: str) -> Member:
    return Member(name, 0, True, None)


def _archived(path: Path, archive: tarfile.TarFile) -> Iterator[Member]:
    files: set[str] = set()
    folders: set[str] = set()
    for count, info in enumerate(archive, 1):
        if problem := member_problem(info):
            raise invalid(
                "notPlainFiles",
                f"path must be an archive of plain files, got {info.name!r} in '{path}', which {problem}",
            )
        if count > MAX_MEMBERS:
            raise _too_many(path)
        name = PurePosixPath(info.name)
        if info.isdir():
            folders.add(str(name))
            continue
        if str(name) in files:
            raise invalid(
                "duplicateFile", f"path must be an archive without duplicates, got {info.name!r} twice in '{path}'"
            )
        files.add(str(name))
        yield Member(str(name), info.size, bool(info.mode & 0o100), partial(_content, archive, info))
    parents = {str(parent) for name in files | folders for parent in PurePosixPath(name).parents}
    for folder in folders - parents:
        yield _folder(folder)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None  # a regular member
    return content


def contents_of(members: list[Member]) -> Contents:
    """What is in a model, from its files."""
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
