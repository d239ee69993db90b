"""Deploy the container of examples/own_container to the local endpoint, call it, change a line, and do so again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from scripts.demo import ROOT, Row, local_aws, run, say, show, stack_outputs
from scripts.python_image import make_python_image

EXAMPLE = ROOT / "examples" / "own_container"
STACK = "OwnContainer"
REQUEST = b"80,3"  # square metres and rooms
LINE = 'CURRENCY = "EUR"'
CHANGED = 'CURRENCY = "USD"'


def main() -> None:
    """Run the demo."""
    check_docker()
    with tempfile.TemporaryDirectory() as folder, base_image() as context, built_images() as images, local_aws():
        app = Path(folder, "own_container")
        shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns("cdk.out"))
        server = app / "container" / "server.py"
        deploy = ("cdk", "deploy", "--require-approval", "never", *context)
        run("Bootstrapping the local account", "cdk", "bootstrap", *context, cwd=app)
        run("Building the image and deploying the endpoint", *deploy, cwd=app)
        answers = call(images)
        say("Changing a line of the container's code, in a copy", f"  {LINE} -> {CHANGED}")
        server.write_text(server.read_text().replace(LINE, CHANGED))
        run("Deploying the change", *deploy, cwd=app)
        answers += call(images)
        run("Destroying the stack", "cdk", "destroy", "--force", *context, cwd=app)
    show(f"What the containers answered to {REQUEST.decode()}", answers)


def check_docker() -> None:
    """End where Docker does not answer."""
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
        problem = done.stderr.strip() if done.returncode else None
    except FileNotFoundError:
        problem = "there is no docker command on the PATH"
    if problem is not None:
        raise SystemExit(
            f"make demo-container needs Docker, and `docker version` fails: {problem}\nInstall and start Docker (Docker"
            " Desktop on a Mac), or see `make demo`, which needs none."
        )


@contextmanager
def base_image() -> Iterator[list[str]]:
    """What to tell the CDK of the image that the example's is built on: nothing where Docker Hub can be reached."""
    match = re.search(r"^ARG BASE=(.+)", (EXAMPLE / "container" / "Dockerfile").read_text(), re.MULTILINE)
    assert match is not None
    say(f"Looking for {match[1]}")
    if any(quiet("docker", *command, match[1]) for command in (["image", "inspect"], ["pull", "--quiet"])):
        yield []
        return
    if sys.platform != "linux":
        raise SystemExit(f"`docker pull {match[1]}` fails: the image of the example is built on it")
    say("It can't be pulled, so the image is built on this machine's own Python")
    name = f"mme-demo-python:{os.getpid()}"
    make_python_image(name)
    try:
        yield ["-c", f"base={name}"]
    finally:
        quiet("docker", "rmi", name)


@contextmanager
def built_images() -> Iterator[set[str]]:
    """Images to be removed at the end, with the names that the CDK gives them when it builds them."""
    images: set[str] = set()
    try:
        yield images
    finally:
        for image in images:
            quiet("docker", "rmi", "--force", image, f"cdkasset-{image.rpartition(':')[2]}")


def call(images: set[str]) -> list[Row]:
    """Call every model; remember which image it is that answers."""
    outputs = stack_outputs(STACK)
    name = outputs["EndpointName"]
    sagemaker, runtime = boto3.client("sagemaker"), boto3.client("sagemaker-runtime")
    config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
    (container,) = sagemaker.describe_model(ModelName=variant["ModelName"])["Containers"]
    images.add(container["Image"])
    tag = container["Image"].rpartition(":")[2]
    rows = []
    for model in outputs["TargetModels"].split(","):
        answer = json.load(runtime.invoke_endpoint(EndpointName=name, TargetModel=model, Body=REQUEST)["Body"])
        price = f"{answer['price']:,.0f} {answer['currency']}"
        rows.append({"image": f"{tag[:12]}…", "target model": model, "answer": price})
    say("Calling each model", *(f"  {row['target model']}: {row['answer']}" for row in rows))
    return rows


def quiet(*command: str) -> bool:
    """Whether a command succeeds."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
