"""The example of a container of one's own, built, deployed, changed and deployed again by the real CDK CLI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mme_local.testing import LocalEndpoint
from scripts.demo_container import CHANGED, LINE
from scripts.python_image import make_python_image

from .conftest import Account


@pytest.fixture
def base(needs_docker: None) -> Iterator[str]:
    """An image with Python that needs no registry."""
    name = f"mme-test-{os.getpid()}:python"
    make_python_image(name)
    yield name
    subprocess.run(["docker", "rmi", "--force", name], check=True, capture_output=True)


@pytest.fixture
def account(base: str, start_local: Callable[..., LocalEndpoint], tmp_path: Path, root: Path) -> Iterator[Account]:
    local = start_local(tmp_path / "log.txt", "--instances", "1", "--enforce-iam", cwd=root)
    yield Account(local, "us-east-1", tmp_path / "cdk.out")
    local.stop()


@pytest.fixture
def built() -> Iterator[set[str]]:
    """Images that were built for the test."""
    images: set[str] = set()
    yield images
    for image in images:
        local = f"cdkasset-{image.rpartition(':')[2]}"
        subprocess.run(["docker", "rmi", "--force", image, local], check=True, capture_output=True)


def image_of(account: Account) -> str:
    """The image that the endpoint's containers are of."""
    sagemaker = account.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=account.outputs("OwnContainer")["EndpointName"])
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    return str(model["Containers"][0]["Image"])


def answers(account: Account) -> list[Any]:
    """What each model says of a flat of 80 square metres and 3 rooms."""
    runtime, outputs = account.client("sagemaker-runtime"), account.outputs("OwnContainer")
    call = partial(runtime.invoke_endpoint, EndpointName=outputs["EndpointName"], Body=b"80,3")
    return [json.load(call(TargetModel=model)["Body"]) for model in outputs["TargetModels"].split(",")]


def containers(image: str) -> list[str]:
    command = ["docker", "ps", "--quiet", "--filter", f"ancestor={image}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_changed_line_replaces_the_container(
    built: set[str], account: Account, base: str, tmp_path: Path, root: Path, eventually: Callable[..., Any]
) -> None:
    app = tmp_path / "own_container"
    shutil.copytree(root / "examples" / "own_container", app)
    context = ("--context", f"base={base}")
    account.bootstrap()

    account.deploy(*context, cwd=app)
    first = image_of(account)
    built.add(first)
    assert answers(account) == [{"price": 388000, "currency": "EUR"}, {"price": 281000, "currency": "EUR"}]
    assert len(containers(first)) == 1

    server = app / "container" / "server.py"
    server.write_text(server.read_text().replace(LINE, CHANGED))
    account.deploy("--hotswap-fallback", *context, cwd=app)  # as "cdk watch" does
    second = image_of(account)
    built.add(second)
    assert answers(account) == [{"price": 388000, "currency": "USD"}, {"price": 281000, "currency": "USD"}]
    assert len(containers(second)) == 1
    eventually(lambda: not containers(first))
