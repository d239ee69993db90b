"""Images made from the machine's own Python: no registry can be reached from where the tests run."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
PROGRAM = Path(__file__).with_name("contract_server.py")
LABELS = tuple(f"com.amazonaws.sagemaker.capabilities.{name}=true" for name in ("multi-models", "accept-bind-to-port"))
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


def docker(*arguments: str) -> str:
    """Run it, and return what it says."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def make(name: str, folder: Path) -> None:
    """An image with the program and both of SageMaker's labels."""
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        add_python(tar)
        tar.add(PROGRAM, "serve.py")
    command = f'ENTRYPOINT ["{PYTHON}", "/serve.py"]'
    changes = [command, *(f"LABEL {label}" for label in LABELS)]
    options = [part for change in changes for part in ("--change", change)]
    docker("import", *options, str(archive), name)
    archive.unlink()


def derive(base: str, name: str, *changes: str, files: Path | None = None) -> None:
    """Another image, which differs by instructions of a Dockerfile, and by what a folder has for its root."""
    container = docker("create", base)
    if files is not None:
        docker("cp", f"{files}/.", f"{container}:/")
    options = [part for change in changes for part in ("--change", change)]
    docker("commit", *options, container, name)
    docker("rm", container)


def add_python(tar: tarfile.TarFile, *others: Path) -> None:
    """The Python that runs this, without packages, and other programs."""
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
