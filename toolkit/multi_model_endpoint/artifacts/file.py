"""A file of a model."""

from __future__ import annotations

import io
import os
from types import TracebackType

from .errors import invalid, reading


class UnchangedFile(io.FileIO):
    """A file that is read as it was found, or not at all.

    Args:
        path: The file.
        size: Its bytes when it was found.

    Raises:
        InvalidModelError: If it can't be read, or is another one by the end of the ``with`` block.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        with reading(path):
            super().__init__(path)
        self._found = os.fstat(self.fileno())
        if self._found.st_size != size:
            self.close()
            self._refuse()

    def read(self, size: int | None = -1) -> bytes:
        """Return just so many bytes."""
        with reading(self._path):
            data = super().read(size) or b""
        if size is not None and len(data) < size:
            self._refuse()
        return data

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close it, and see that it is what it was."""
        now = os.fstat(self.fileno())
        self.close()
        if kind is None and (now.st_size, now.st_mtime_ns) != (self._found.st_size, self._found.st_mtime_ns):
            self._refuse()

    def _refuse(self) -> None:
        raise invalid(
            "changedWhilePacked",
            f"path must not change while it is packed, got {self._path!r}, which did: wait until it is written",
        )
