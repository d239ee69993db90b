"""The tar inside a ``.tar.gz``, on disk and within bounds."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from . import gzipped
from .errors import InvalidModelError, invalid, reading
from .members import MAX_BYTES, MAX_HEADER
from .progress import Step

_CHUNK = 1024 * 1024
# Weights hardly compress: what is larger than the endpoint takes must at least not be a bomb
_MAX_RATIO = 10


@contextmanager
def unzipped(path: Path, step: Step) -> Iterator[tuple[tarfile.TarFile, str]]:
    """Open an archive for reading in any order: sorting its members would otherwise unzip it anew for each.

    Returns:
        The archive, and the digest of its tar.

    Raises:
        InvalidModelError: If it is none, or unzips to much more than its size; also from inside the ``with`` block,
            where the archive turns out to be none.
    """
    with tempfile.TemporaryFile() as plain:
        try:
            digest = _unzip(path, plain, step)
            plain.seek(0)
            with tarfile.open(fileobj=cast(Any, _Tar(plain)), mode="r:") as archive:
                yield archive, digest
        except InvalidModelError:
            raise
        # OverflowError and ValueError: numbers that no file has. RecursionError: headers of headers of headers.
        except (
            *(gzip.BadGzipFile, zlib.error, EOFError, tarfile.TarError),
            *(OverflowError, ValueError, RecursionError),
        ) as error:
            raise invalid("notAnArchive", f"path must be a gzipped tar archive, got '{path}': {error}") from error


def _unzip(path: Path, plain: IO[bytes], step: Step) -> str:
    digest = hashlib.sha256()
    with reading(path):
        file = path.open("rb")
    size = path.stat().st_size
    limit = max(MAX_BYTES, _MAX_RATIO * size)
    before = 0
    with file, gzipped.reader(file) as zipped:
        while data := zipped.read(_CHUNK):
            step(file.tell() - before, size)
            before = file.tell()
            digest.update(data)
            plain.write(data)
            if plain.tell() > limit:
                raise invalid(
                    "archiveTooLarge", f"path must unzip to at most {limit} bytes, got '{path}', which goes on"
                )
    return digest.hexdigest()


class _Tar:
    """A tar file whose headers are small: tarfile reads a header in one piece, and contents in little ones."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        if size > MAX_HEADER + tarfile.BLOCKSIZE:
            raise tarfile.ReadError(f"it has a header of {size} bytes")
        return self._file.read(size)
