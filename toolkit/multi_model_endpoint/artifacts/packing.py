"""Packing: the same archive, byte for byte in its tar, from the same files on any machine."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from . import gzipped
from .archive import Contents, Found, Member, contents_of, find, opened
from .errors import invalid, writing
from .memory import Read, Remembered, recall, remember
from .progress import Step, no_step

_CHUNK = 1024**2


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


@contextmanager
def packed(source: str | os.PathLike[str], step: Step = no_step) -> Iterator[Artifact]:
    """Pack a model directory, or repack a ``.tar.gz``, into a file that exists inside the ``with`` block.

    Members are sorted and carry no clock or owner, and are executable or not. Folders are members only where they have
    no file. An archive that is so already is copied.

    Args:
        source: The directory or archive.
        step: Told what is read.

    Raises:
        InvalidModelError: If there is no such model, it is empty, can't be read, changes meanwhile, or holds anything
            but plain files.
    """
    with tempfile.TemporaryDirectory(prefix="mme-model-") as folder:
        target = Path(folder, "model.tar.gz")
        with writing():
            read = _pack(find(Path(source)), target, step)
        yield Artifact(target, read.digest, read.contents)


def stored(source: str | os.PathLike[str], folder: Path, name: Callable[[str], str], step: Step = no_step) -> Artifact:
    """Have a model's archive in a folder; it is packed only if it has changed, or is nowhere any more.

    Args:
        source: The directory or archive.
        folder: Where the archive is to be.
        name: What it is called there by its digest. What is there under this name is not written again.
        step: Told what is read.

    Raises:
        InvalidModelError: As ``packed``.
    """
    found = find(Path(source))
    last = recall(found)
    with writing(folder):
        read = _known(found, last, folder, name, step)
        if read is not None:
            target = folder / name(read.digest)
            if _is_whole(target, read.size) or _is_linked(last, read, target):
                if last is None or last.state != found.state:
                    remember(found, read, target)
                return Artifact(target, read.digest, read.contents)
        with _unfinished(folder) as path:
            read = _pack(found, path, step)
            target = folder / name(read.digest)
            if not _is_whole(target, read.size):
                path.replace(target)
    remember(found, read, target)
    return Artifact(target, read.digest, read.contents)


def inspect(source: str | os.PathLike[str], step: Step = no_step) -> tuple[str, Contents]:
    """The digest and the contents of a model, as ``packed`` gives them, without compressing anything.

    Raises:
        InvalidModelError: As ``packed``.
    """
    found = find(Path(source))
    last = recall(found)
    if last is not None and last.state == found.state:
        return last.read.digest, last.read.contents
    with writing():
        read = _digested(found, step)
    remember(found, read, None)
    return read.digest, read.contents


def _known(found: Found, last: Remembered | None, folder: Path, name: Callable[[str], str], step: Step) -> Read | None:
    """What is known of a model without compressing it, where that may save the compressing."""
    if last is None:
        return None
    if last.state == found.state:
        return last.read
    if _is_whole(folder / name(last.read.digest), last.read.size):  # perhaps it was touched, not changed
        return _digested(found, step)
    return None


def _is_whole(archive: Path, size: int) -> bool:
    """Whether a file ends as the gzip of so many bytes does: the CDK's own copies, when broken off, do not."""
    with suppress(OSError), archive.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(), "little") == size % 2**32
    return False


def _is_linked(last: Remembered | None, read: Read, target: Path) -> bool:
    """Whether it is there now from another folder: both may share it, since files there are replaced, never edited."""
    if last is None or last.archive is None or last.read != read or not _is_whole(Path(last.archive), read.size):
        return False
    with _unfinished(target.parent) as path:
        try:
            path.hardlink_to(last.archive)
        except OSError:  # on another disk
            shutil.copyfile(last.archive, path)
        path.replace(target)
    return True


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    path = folder / f"unfinished-{uuid.uuid4().hex}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _digested(found: Found, step: Step) -> Read:
    with opened(found, step) as (members, _):
        return _write(members, None, step)


def _pack(found: Found, target: Path, step: Step) -> Read:
    with opened(found, step) as (members, digest):
        if digest is not None:
            read = _write(members, None, step)
            if read.digest == digest and _is_whole(found.path, read.size):
                _copy(found, target)
                return read
        with target.open("wb") as file, gzipped.writer(file) as zipped:
            return _write(members, zipped, step)


def _copy(found: Found, target: Path) -> None:
    shutil.copyfile(found.path, target)
    if find(found.path).state != found.state:
        raise invalid(
            "changedWhilePacked",
            f"path must not change while it is packed, got '{found.path}', which did: wait until it is written",
        )


def _write(members: list[Member], target: IO[bytes] | None, step: Step) -> Read:
    """Write the tar, or with no target only digest it."""
    contents = contents_of(members)
    tee = _Tee(target, contents.size, step)
    with tarfile.open(fileobj=tee, mode="w", format=tarfile.PAX_FORMAT) as archive:
        cast(Any, archive).copybufsize = _CHUNK
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
    return Read(tee.digest.hexdigest(), tee.tell(), contents)


class _Tee(io.RawIOBase):
    """A stream that digests what goes through it."""

    def __init__(self, target: IO[bytes] | None, total: int, step: Step) -> None:
        self._target = target
        self._total = total
        self._step = step
        self._position = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._step(len(data), self._total)
        self.digest.update(data)
        if self._target is not None:
            self._target.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position
