"""What a model's ``requirements.txt`` asks for and this Python has not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement


def unmet(path: Path) -> list[str]:
    """The lines that nothing installed here meets; pip's options among them, since who knows what they bring."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in (each.partition("#")[0].strip() for each in lines) if line and not _met(line)]


def _met(line: str) -> bool:
    try:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate():
            return True
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False
