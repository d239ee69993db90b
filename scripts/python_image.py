"""An image of the machine's own Python, for Linux: what images are built on where no registry can be reached."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "ensurepip",
    "lib2to3",
    "site-packages",
    "__pycache__",
    "tkinter",
}


def make_python_image(name: str) -> None:
    """Make an image that has nothing but ``python3``, not even a shell."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            add_python(tar)
            link = tarfile.TarInfo(str(PYTHON.with_name("python3")))
            link.type, link.linkname = tarfile.SYMTYPE, PYTHON.name
            tar.addfile(link)
        archive.flush()
        command = ["docker", "import", "--change", f"ENV PATH={PYTHON.parent}", archive.name, name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def add_python(tar: tarfile.TarFile, *others: Path) -> None:
    """Add the Python that runs this, without packages, and other programs."""
    library = Path(sys.base_prefix, "lib", PYTHON.name)
    tar.add(library, filter=lambda member: None if _LEFT_OUT & set(Path(member.name).parts) else member)
    programs = [str(PYTHON), *map(str, others)]
    linkers = [*programs, *map(str, library.glob("lib-dynload/*.so"))]
    linked = subprocess.run(["ldd", *linkers], capture_output=True, text=True, check=True).stdout
    for file in {*programs, *re.findall(r"(/\S+) \(0x", linked)}:
        tar.add(Path(file).resolve(), file)
    for name in ("tmp", "opt/ml"):
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o777
        tar.addfile(folder)
