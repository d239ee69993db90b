"""What was read of models, so that nothing is read again that has not changed.

One small file per model in the user's cache folder, ``multi-model-endpoint`` in ``$XDG_CACHE_HOME``, ``~/.cache`` or
what the platform has; it may be deleted at any time. Where that folder can't be written, nothing is remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .archive import Contents, Found

_PACKAGE = "multi-model-endpoint"
_DAY = 24 * 3600
_DAYS = 90
_MODELS = 100_000
# whatever a damaged file may make of it
_BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Read:
    """What was read of a model.

    Attributes:
        digest: SHA-256 of its tar.
        size: The bytes of its tar.
        contents: What is in it.
    """

    digest: str
    size: int
    contents: Contents


@dataclass(frozen=True)
class Remembered:
    """What was read of a model some time.

    Attributes:
        state: The model's then: whether it has changed since.
        read: What was read.
        archive: Where it was packed to, if it was.
    """

    state: str
    read: Read
    archive: str | None


def recall(found: Found) -> Remembered | None:
    """What is remembered of the model at a path, as it is now or was."""
    with suppress(*_BROKEN):
        file = _file(found)
        entry = json.loads(file.read_bytes())
        remembered = Remembered(entry["state"], _read(entry), entry["archive"])
        os.utime(file)
        return remembered
    return None


def remember(found: Found, read: Read, archive: Path | None) -> None:
    """Remember a model, unless it was changed just now."""
    if not found.settled:
        return
    contents = asdict(read.contents)
    contents["texts"] = {name: text.decode("latin-1") for name, text in read.contents.texts.items()}
    entry = {"state": found.state, "digest": read.digest, "size": read.size, "contents": contents}
    entry["archive"] = None if archive is None else os.path.abspath(archive)
    with suppress(*_BROKEN):
        file = _file(found)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # complete or not there, whoever else writes or reads it
        unfinished = file.with_name(f"{uuid.uuid4().hex}.new")
        unfinished.write_text(json.dumps(entry), encoding="ascii")
        os.replace(unfinished, file)
        _forget(file.parent)


def _read(entry: dict[str, Any]) -> Read:
    contents = entry["contents"]
    texts = {str(name): text.encode("latin-1") for name, text in contents["texts"].items()}
    files, folders, empty = (tuple(map(str, contents[name])) for name in ("files", "folders", "empty"))
    return Read(str(entry["digest"]), int(entry["size"]), Contents(files, folders, texts, int(contents["size"]), empty))


def _file(found: Found) -> Path:
    key = json.dumps([_release(), os.path.abspath(found.path)])
    return _folder() / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


@cache
def _release() -> str:
    """Of this package: what it packs or refuses may change with each."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(_PACKAGE)
    except PackageNotFoundError as error:
        raise OSError from error


def _folder() -> Path:
    import platformdirs

    folder = platformdirs.user_cache_path(_PACKAGE) / "models"
    if not folder.is_absolute():  # without a home
        raise FileNotFoundError(folder)
    return folder


def _forget(folder: Path) -> None:
    """Once a day remove what was not asked for in a long time, and what is too much."""
    marker, now = folder / "tidied", time.time()
    with suppress(FileNotFoundError):
        if marker.stat().st_mtime > now - _DAY:
            return
    marker.touch()
    with os.scandir(folder) as entries:
        used = sorted(((entry.stat().st_mtime, entry.path) for entry in entries), reverse=True)
    for number, (last, path) in enumerate(used):
        if number >= _MODELS or last < now - _DAYS * _DAY:
            with suppress(FileNotFoundError):
                os.unlink(path)
