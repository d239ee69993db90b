"""Gzip by Intel's ISA-L, which takes a tenth of zlib's time; by zlib where that has no wheel for the platform."""

from __future__ import annotations

import gzip
import os
from importlib import import_module
from typing import IO, Any, cast

_LEVEL = 1  # level 2 takes half as long again for weights, and makes them no smaller
_THREADS = min(4, os.cpu_count() or 1)  # more would wait for SHA-256, which is one thread's
_BLOCK = 1024**2


def writer(file: IO[bytes]) -> IO[bytes]:
    """A stream whose gzip is written to a file, without clock or name, by several threads."""
    if (threaded := _isal("igzip_threaded")) is None:
        return cast(IO[bytes], gzip.GzipFile(fileobj=file, filename="", mode="wb", compresslevel=_LEVEL, mtime=0))
    return cast(IO[bytes], threaded.open(file, "wb", compresslevel=_LEVEL, threads=_THREADS, block_size=_BLOCK))


def reader(file: IO[bytes]) -> IO[bytes]:
    """The content of a gzip."""
    return cast(IO[bytes], (_isal("igzip") or gzip).open(file))


def _isal(module: str) -> Any:
    try:
        return import_module(f"isal.{module}")
    except ImportError:
        return None
