"""What may be in a model's archive: one set of rules for who packs it and for the endpoint that unpacks it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

MAX_MEMBERS = 100_000
MAX_BYTES = 20 * 1024**3
# tarfile reads long names and pax headers into memory in one piece
MAX_HEADER = 1024 * 1024

# tarfile makes, and shutil removes, folders by recursion.
_MAX_DEPTH = 100
# Of Linux' file systems, and of its paths less what the folder for models takes of them
_MAX_PART = 255
_MAX_NAME = 3 * 1024


def member_problem(member: tarfile.TarInfo) -> str | None:
    """Why a member is none of a model, as the end of a sentence; None for a plain file or folder in the archive."""
    if member.issym() or member.islnk():
        return "is a link"
    if member.size < 0:
        return f"has a size of {member.size} bytes"
    if member.issparse() or not (member.isreg() or member.isdir()):
        return "is neither a plain file nor a folder"
    if member.isreg() and not PurePosixPath(member.name).name:
        return "has no name"
    return name_problem(member.name)


def name_problem(name: str) -> str | None:
    """Why a file or folder of a model may not be called so, as the end of a sentence."""
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        return "has an absolute name"
    if ".." in name.replace("\\", "/").split("/"):
        return "leaves the model's directory"
    if name.count("/") > _MAX_DEPTH:
        return f"is in more than {_MAX_DEPTH} folders"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if b"\0" in encoded:
        return "has a zero byte in its name"
    if len(encoded) > _MAX_NAME or any(len(part) > _MAX_PART for part in encoded.split(b"/")):
        return f"has a name of more than {_MAX_PART} bytes, or of {_MAX_NAME} with its folders"
    return None


def folders_above(name: str) -> Iterator[str]:
    """The folders that a name implies, which are made like members and count as such."""
    *parts, _ = [part for part in name.split("/") if part not in ("", ".")] or [""]
    return ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
