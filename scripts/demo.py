"""Deploy both stacks to the local endpoint with the real CDK CLI, change them, look at them, and destroy them."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from tabulate import tabulate

ROOT = Path(__file__).parent.parent
STACKS = ("CpuMultiModelStack", "GpuTritonMultiModelStack")


def main() -> None:
    """Run the demo."""
    with local_endpoint(), tempfile.TemporaryDirectory() as output:
        run("Bootstrapping the local account", "cdk", "bootstrap", "--output", output)
        deploy = ("cdk", "deploy", "--all", "--require-approval", "never", "--output", output)
        run("Deploying both stacks", *deploy)
        before = {name: describe(name) for name in endpoint_names()}
        run("Deploying a change: three instances", *deploy, "--context", "instance_count=3")
        after = {name: describe(name) for name in before}
        changed = [f"  {name}: {before[name]['configuration']} -> {after[name]['configuration']}" for name in after]
        say("The same endpoints have new configurations", *changed)
        run("Destroying both stacks", "cdk", "destroy", "--all", "--force", "--output", output)
        say("What is left are the model stores", *(f"  s3://{bucket}" for bucket in buckets()))
    say("What the SageMaker API said of the endpoints", tabulate(rows(after), headers="keys"))


def rows(endpoints: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per endpoint."""
    return [
        {"endpoint": name, **{k: v for k, v in found.items() if k != "configuration"}}
        for name, found in endpoints.items()
    ]


@contextmanager
def local_endpoint() -> Iterator[None]:
    """Run ``mme-local serve``, and point this process and its children at it."""
    say("Starting the local endpoint")
    command = ["mme-local", "serve", "--port", "0", "--exit-with-parent"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line:
            log.seek(0)
            raise SystemExit(f"the local endpoint did not start:\n{log.read()}")
        for name, _, value in (assignment.partition("=") for assignment in shlex.split(line)[1:]):
            os.environ[name] = value
        try:
            yield
        finally:
            server.terminate()


def endpoint_names() -> list[str]:
    """The endpoints of the deployed stacks, by their outputs."""
    cloudformation = boto3.client("cloudformation")
    return [
        output["OutputValue"]
        for stack in STACKS
        for output in cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
        if output["OutputKey"] == "EndpointName"
    ]


def describe(endpoint_name: str) -> dict[str, Any]:
    """What the API says of an endpoint, its configuration, its model and its store."""
    sagemaker = boto3.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=endpoint_name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    variant = config["ProductionVariants"][0]
    (container,) = sagemaker.describe_model(ModelName=variant["ModelName"])["Containers"]
    bucket, _, prefix = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    objects = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    return {
        "status": endpoint["EndpointStatus"],
        "configuration": endpoint["EndpointConfigName"],
        "variant": variant["VariantName"],
        "instances": f"{endpoint['ProductionVariants'][0]['CurrentInstanceCount']} x {variant['InstanceType']}",
        "image": container["Image"].rpartition("/")[2],
        "cache": container["MultiModelConfig"]["ModelCacheSetting"],
        "models": "\n".join(item["Key"].removeprefix(prefix) for item in objects),
    }


def buckets() -> list[str]:
    """The buckets that are left, the CDK's own aside."""
    names = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    return [name for name in names if not name.startswith("cdk-")]


def run(what: str, *command: str) -> None:
    """Run a command quietly; show what it said if it fails."""
    say(what, f"  $ {shlex.join(command)}")
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"{result.stdout}\n'{shlex.join(command)}' failed")


def say(what: str, *lines: str) -> None:
    """Print a step and its details."""
    print(f"\n== {what}", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
