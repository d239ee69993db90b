"""The packages as others have them: built, and installed in environments without this repository."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Collection
from email import message_from_bytes
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).parent.parent


def uv(*arguments: str | Path) -> None:
    """Run uv, which has to succeed.

    Raises:
        RuntimeError: If it does not; with what it said.
    """
    command = [sys.executable, "-m", "uv", "--quiet", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"uv {' '.join(map(str, arguments))}:\n{result.stdout}{result.stderr}")


def build(source: Path, output: Path) -> dict[str, Path]:
    """Build an sdist of each package, and a wheel from that, as ``make dist`` does.

    Args:
        source: The checkout.
        output: The folder for all of them.

    Returns:
        The wheels by the names that they are imported by.
    """
    options = ("--all-packages", "--no-build-isolation", "--python", sys.executable, "--out-dir", output)
    uv("build", *options, source)
    return wheels_in(output)


def wheels_in(folder: Path) -> dict[str, Path]:
    """The wheels in a folder by the names that they are imported by."""
    return {wheel.name.partition("-")[0]: wheel for wheel in folder.glob("*.whl")}


def metadata(wheel: Path) -> Message:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def needs(wheel: Path, extras: Collection[str] = ()) -> list[str]:
    """The requirements of a wheel, with those of some of its extras."""
    lines = [line.partition("; extra == ") for line in metadata(wheel).get_all("Requires-Dist", [])]
    return [requirement for requirement, _, extra in lines if not extra or extra.strip("'") in extras]


def make_environment(folder: Path, python: str = sys.executable) -> Path:
    """Make an empty environment, and return its Python."""
    uv("venv", "--no-project", "--python", python, folder)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install into an environment; options of ``uv pip install`` are taken, too."""
    uv("pip", "install", "--python", python, *what)
