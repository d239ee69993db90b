"""Images made from the machine's own Python: no registry can be reached from where the tests run."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from scripts.python_image import PYTHON, add_python

PROGRAM = Path(__file__).with_name("contract_server.py")
LABELS = tuple(f"com.amazonaws.sagemaker.capabilities.{name}=true" for name in ("multi-models", "accept-bind-to-port"))


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
