"""The tar inside a ``.tar.gz``, on disk and within bounds."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from .errors import InvalidModelError, reading
from .members import MAX_BYTES, MAX_HEADER

_CHUNK = 1024 * 1024
# Weights hardly compress: what is larger than the endpoint takes must at least not be a bomb
_MAX_RATIO = 10


@contextmanager
def unzipped(path: Path, check: Callable[[], None]) -> Iterator[tarfile.TarFile]:
    """Open an archive for reading in any order: sorting its members would otherwise unzip it anew for each.

    Raises:
        InvalidModelError: If it is none, or unzips to much more than its size; also from inside the ``with`` block,
            where the archive turns out to be none.
    """
    with tempfile.TemporaryFile() as plain:
        try:
            _unzip(path, plain, check)
            plain.seek(0)
            with tarfile.open(fileobj=cast(Any, _Tar(plain)), mode="r:") as archive:
                yield archive
        except InvalidModelError:
            raise
        # OverflowError and ValueError: numbers that no file has. RecursionError: headers of headers of headers.
        except (
            *(gzip.BadGzipFile, zlib.error, EOFError, tarfile.TarError),
            *(OverflowError, ValueError, RecursionError),
        ) as error:
            raise InvalidModelError([f"path must be a gzipped tar archive, got '{path}': {error}"]) from error


def _unzip(path: Path, plain: IO[bytes], check: Callable[[], None]) -> None:
    with reading(path):
        file = path.open("rb")
    limit = max(MAX_BYTES, _MAX_RATIO * path.stat().st_size)
    with file, gzip.open(file) as zipped:
        while data := zipped.read(_CHUNK):
            check()
            plain.write(data)
            if plain.tell() > limit:
                raise InvalidModelError([f"path must unzip to at most {limit} bytes, got '{path}', which goes on"])


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
