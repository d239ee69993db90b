"""The app's template, and its container: built, deployed and called, changed, and all of it again."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint

HERE = Path(__file__).parent
STACK = "OwnContainer"


class Deployed:
    """A copy of the app, on the local endpoint."""

    def __init__(self, aws: LocalEndpoint, cdk: Callable[..., Any], base: str, app: Path) -> None:
        self.app = app
        self.images: set[str] = set()
        self._aws = aws
        self._cdk = cdk
        self._base = base

    def deploy(self, *options: str) -> str:
        """Deploy it as it stands; return the image that its endpoint's containers are of."""
        context = ("--context", f"base={self._base}", "--require-approval", "never", *options)
        said = self._cdk("deploy", *context, cwd=self.app)
        assert said.returncode == 0, said.stdout + said.stderr
        sagemaker = self._aws.client("sagemaker")
        endpoint = sagemaker.describe_endpoint(EndpointName=self.outputs["EndpointName"])
        config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        image = str(model["Containers"][0]["Image"])
        self.images.add(image)
        return image

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's."""
        (stack,) = self._aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def answers(self) -> list[Any]:
        """What each model says of a flat of 80 square metres and 3 rooms."""
        runtime, outputs = self._aws.client("sagemaker-runtime", read_timeout=70), self.outputs
        return [
            json.load(
                runtime.invoke_endpoint(EndpointName=outputs["EndpointName"], TargetModel=model, Body=b"80,3")["Body"]
            )
            for model in outputs["TargetModels"].split(",")
        ]


def containers(image: str) -> list[str]:
    command = ["docker", "ps", "--quiet", "--filter", f"ancestor={image}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def await_end_of_containers(image: str) -> None:
    deadline = time.monotonic() + 60
    while containers(image):
        assert time.monotonic() < deadline, f"containers of {image} go on"
        time.sleep(0.1)


@pytest.fixture
def deployed(base: str, aws: LocalEndpoint, cdk: Callable[..., Any], tmp_path: Path) -> Iterator[Deployed]:
    """Removes all that it has made of the test's images."""
    app = shutil.copytree(HERE, tmp_path / "own_container", ignore=shutil.ignore_patterns("cdk.out"))
    deployed = Deployed(aws, cdk, base, app)
    yield deployed
    aws.client("cloudformation").delete_stack(StackName=STACK)
    for image in deployed.images:
        await_end_of_containers(image)
        asset = f"cdkasset-{image.rpartition(':')[2]}"
        subprocess.run(["docker", "rmi", "--force", image, asset], check=True, capture_output=True)


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_a_changed_line_replaces_the_container(deployed: Deployed) -> None:
    first = deployed.deploy()
    assert deployed.answers() == [{"price": 388000, "currency": "EUR"}, {"price": 281000, "currency": "EUR"}]
    assert len(containers(first)) == 1

    server = deployed.app / "container" / "server.py"
    server.write_text(server.read_text().replace('CURRENCY = "EUR"', 'CURRENCY = "USD"'))
    second = deployed.deploy("--hotswap-fallback")  # as "cdk watch" does
    assert deployed.answers() == [{"price": 388000, "currency": "USD"}, {"price": 281000, "currency": "USD"}]
    assert len(containers(second)) == 1
    await_end_of_containers(first)
