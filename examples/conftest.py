"""What the tests of all examples share: copy it with the example that you begin with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from mme_local.testing import LocalEndpoint, local_endpoint

Cdk = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEndpoint]:
    """A local endpoint for all tests, which evaluates policies and is bootstrapped."""
    folder = tmp_path_factory.mktemp("aws")
    with local_endpoint("--enforce-iam", "--instances", "1", log=folder / "log.txt") as running:
        run_cdk(running, "bootstrap", "aws://000000000000/us-east-1", cwd=folder).check_returncode()
        yield running


@pytest.fixture(scope="module")
def cdk(aws: LocalEndpoint, request: pytest.FixtureRequest) -> Cdk:
    """Run the CDK CLI, in the test's folder or another."""
    return lambda *arguments, cwd=request.path.parent: run_cdk(aws, *arguments, cwd=cwd)


def run_cdk(aws: LocalEndpoint, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the CDK CLI as a user would."""
    environment = {**os.environ, **aws.environment}
    return subprocess.run(["cdk", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def assembly(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``app.py`` beside the test synthesizes, with the context of ``cdk.json``."""
    folder, here = tmp_path_factory.mktemp("cdk.out"), request.path.parent
    context = json.loads((here / "cdk.json").read_text()).get("context", {})
    environment = {**os.environ, "CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": json.dumps(context)}
    subprocess.run([sys.executable, "-B", "-W", "error", "app.py"], cwd=here, env=environment, check=True)
    return folder


@pytest.fixture(scope="module")
def templates(assembly: Path) -> dict[str, Any]:
    """The template of each stack; what depends on the version of the CDK's own assets is masked."""
    hashes = r"\b[0-9a-f]{64}(\.zip|\.gz|\")"
    return {
        path.name.removesuffix(".template.json"): json.loads(re.sub(hashes, r"ASSET\1", path.read_text()))
        for path in sorted(assembly.rglob("*.template.json"))
    }


@pytest.fixture(scope="module")
def template(templates: dict[str, Any]) -> Any:
    """The template of the only stack."""
    (template,) = templates.values()
    return template


@pytest.fixture
def snapshot_json(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """``pytest --snapshot-update`` writes it."""
    return snapshot.use_extension(JSONSnapshotExtension)


@pytest.fixture(scope="module")
def outputs(aws: LocalEndpoint, cdk: Cdk, assembly: Path) -> Iterator[dict[str, str]]:
    """The outputs of all stacks, which are deployed by the CDK CLI, and gone after the tests of the file."""
    deployed = assembly / "outputs.json"
    arguments = ("--all", "--require-approval", "never", "--app", str(assembly), "--outputs-file", str(deployed))
    said = cdk("deploy", *arguments)
    assert said.returncode == 0, said.stdout + said.stderr
    stacks = json.loads(deployed.read_text())
    yield {key: value for outputs in stacks.values() for key, value in outputs.items()}
    for stack in reversed(stacks):
        aws.client("cloudformation").delete_stack(StackName=stack)


@pytest.fixture(scope="module")
def call(aws: LocalEndpoint, outputs: dict[str, str]) -> Callable[..., bytes]:
    """Call a model of the deployed endpoint."""
    runtime = aws.client("sagemaker-runtime", read_timeout=70)

    def call(model: str, body: str | bytes, content_type: str = "text/csv", **options: str) -> bytes:
        answer = runtime.invoke_endpoint(
            EndpointName=outputs["EndpointName"], TargetModel=model, Body=body, ContentType=content_type, **options
        )
        return bytes(answer["Body"].read())

    return call
