"""Which image the test builds on: where Docker Hub can be reached, return the Dockerfile's own, and that is all."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from scripts.python_image import make_python_image


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """An image with the Python of this machine, which needs no registry."""
    if subprocess.run(["docker", "version"], capture_output=True, check=False).returncode != 0:
        known = os.environ.get("MME_TESTS_WITHOUT_DOCKER")
        silent = os.environ.get("CI") == "true" and not known
        (pytest.fail if silent else pytest.skip)(known or "docker version does not answer")
    name = f"mme-test-{os.getpid()}:python"
    make_python_image(name)
    yield name
    subprocess.run(["docker", "rmi", "--force", name], check=True, capture_output=True)
