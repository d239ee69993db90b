"""The start page's transcript by the real CDK CLI, every caller of the pages, and the tests that the guide shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from mme_local.testing import LocalEndpoint
from multi_model_endpoint.aliases import Aliases
from multi_model_endpoint.store_url import StoreUrl

CALLERS = ["README.md", "docs/client.md", "docs/guides/models.md", "toolkit/README.md"]
# in place of the guide's local endpoint the one that runs already
CONFTEST = """
import os
import pytest
from mme_local.testing import LocalEndpoint

@pytest.fixture(scope="session")
def local_aws():
    return LocalEndpoint(None, os.environ, None)
"""
# what may differ by the processor
VARIABLE = [(r"churn-[0-9a-f]{8}", "churn-12345678"), (r"(0\.\d\d)\d+", r"\1")]


@pytest.fixture(scope="module")
def local(
    start_local: Callable[..., LocalEndpoint], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalEndpoint]:
    running = start_local(tmp_path_factory.mktemp("local") / "log.txt", "--docker", "never")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def environment(root: Path, local: LocalEndpoint) -> dict[str, str]:
    """That of the shell into which the line was pasted."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **local.environment, "PATH": path, "NODE_PATH": str(root / "node_modules")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The empty folder."""
    return tmp_path_factory.mktemp("start")


@pytest.fixture(scope="module")
def happened(
    environment: dict[str, str], root: Path, snippets: Callable[[str], dict[str, str]], folder: Path
) -> dict[str, str]:
    """Each console block of the start page, and what happened when its commands were run."""
    page = (root / "docs" / "start.md").read_text()
    for name, text in snippets("docs/start.md").items():
        (folder / name).write_text(text)
    (cdk_json,) = re.findall(r"```json\n(.*?)```", page, re.S)
    (folder / "cdk.json").write_text(cdk_json)

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return f"$ {command}\n{done.stdout if '.py' in command else '…'}".rstrip() + "\n"

    blocks = re.findall(r"```console\n(.*?)```", page, re.S)
    return {block: "".join(map(run, re.findall(r"^\$ (.*)$", block, re.M))) for block in blocks}


def normal(text: str) -> str:
    for pattern, replacement in VARIABLE:
        text = re.sub(pattern, replacement, text)
    return text


def test_the_transcript_of_the_page_happens(happened: dict[str, str], root: Path) -> None:
    assert len(happened) == 2
    page = root / "docs" / "start.md"
    for block, output in happened.items():
        if os.environ.get("MME_WRITE_TRANSCRIPTS"):
            page.write_text(page.read_text().replace(block, output))
        else:
            assert normal(output) == normal(block)


@pytest.mark.usefixtures("happened")
@pytest.mark.parametrize("page", CALLERS)
def test_every_caller_of_the_pages_gets_an_answer(
    local: LocalEndpoint,
    snippets: Callable[[str], dict[str, str]],
    page: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (endpoint,) = local.client("sagemaker").list_endpoints()["Endpoints"]
    (model,) = local.client("sagemaker").list_models()["Models"]
    described = local.client("sagemaker").describe_model(ModelName=model["ModelName"])
    store = StoreUrl.parse(described["Containers"][0]["ModelDataUrl"])
    for name, value in local.environment.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    (target, *_) = [
        found["Key"].removeprefix(store.prefix)
        for found in s3.list_objects_v2(Bucket=store.bucket, Prefix=f"{store.prefix}churn-")["Contents"]
    ]
    Aliases(s3, store).move("churn@prod", target)
    text = snippets(page)["call.py"]
    text = text.replace('"scoring"', repr(endpoint["EndpointName"])).replace("s3://my-bucket/models/", str(store))
    answers: dict[str, object] = {}
    exec(compile(text, "call.py", "exec"), answers)
    assert b"[0." in getattr(answers.get("answer"), "body", capsys.readouterr().out.encode())


@pytest.mark.usefixtures("happened")
def test_the_tests_of_the_guide_pass(
    environment: dict[str, str], folder: Path, snippets: Callable[[str], dict[str, str]]
) -> None:
    (folder / "test_deployed.py").write_text(snippets("docs/guides/testing.md")["test_deployed.py"])
    (folder / "conftest.py").write_text(CONFTEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_deployed.py"]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
