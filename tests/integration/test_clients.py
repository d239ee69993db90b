"""Clients that nobody here wrote, unmodified, on the real model servers: AWS's SageMaker SDK, and the AWS CLI.

Each has an environment of its own, and finds the local endpoint in what ``mme serve`` told the shell to export.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import platform
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import pytest
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

from .conftest import Account

STACK = "CpuMultiModelStack"
MODEL = "customer-churn"
AWS_CLI = "aws-cdk-asset-awscli-v2==2.0.198"
"""The AWS CLI 2.38.5 as the CDK team packs it for Lambda: the only build of version 2 on PyPI that comes from AWS."""

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def account(start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Account]:
    """An account with the CPU stack and the servers behind it."""
    local = start_local(tmp_path_factory.mktemp("serving") / "log.txt")
    account = Account(local, "us-east-1", tmp_path_factory.mktemp("cdk.out"))
    account.bootstrap()
    account.cdk("deploy", STACK, "--require-approval", "never", "--context", "instance_count=1", cwd=root)
    yield account
    local.stop()


@pytest.fixture(scope="module")
def outputs(account: Account) -> dict[str, str]:
    return account.outputs(STACK)


@pytest.fixture(scope="module")
def target_model(outputs: dict[str, str]) -> str:
    (found,) = [name for name in outputs["TargetModels"].split(",") if name.startswith(MODEL)]
    return found


@pytest.fixture(scope="module")
def sample(root: Path) -> dict[str, Any]:
    samples = json.loads((root / "stacks" / "models" / "samples.json").read_text())
    found: dict[str, Any] = next(sample for sample in samples if sample["model"] == MODEL)
    return found


def install(folder: Path, *requirements: str) -> Path:
    """Make an environment with exactly these packages, and return its Python."""
    python = folder / "bin" / "python"
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--no-deps", "--python", str(python), *requirements],
    ):
        subprocess.run([sys.executable, "-m", "uv", *command], check=True)
    return python


Results = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def double(folder: Path) -> Path:
    """An artifact with a scikit-learn model of 2 and 20 times its columns, for ``examples/tenants/code``."""
    joblib.dump(LinearRegression(fit_intercept=False).fit([[1, 0], [0, 1]], [2, 20]), folder / "model.joblib")
    with tarfile.open(folder / "double.tar.gz", "w:gz") as archive:
        archive.add(folder / "model.joblib", "model.joblib")
    return folder / "double.tar.gz"


@pytest.fixture(scope="module")
def sdk(
    account: Account,
    outputs: dict[str, str],
    target_model: str,
    sample: dict[str, Any],
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """What the SageMaker Python SDK did on the stack's endpoint, and on two that it made itself."""
    folder = tmp_path_factory.mktemp("sdk")
    python = install(folder / "environment", "--requirements", str(HERE / "sagemaker-sdk.txt"))
    with tarfile.open(folder / "churn.tar.gz", "w:gz") as archive:
        archive.add(root / "stacks" / "models" / "xgboost" / MODEL / "xgboost-model", "xgboost-model")
    task = {
        "endpoint": outputs["EndpointName"],
        "target_model": target_model,
        "body": sample["body"],
        "prefix": outputs["ModelStoreUrl"] + "sdk/",
        "role": "arn:aws:iam::000000000000:role/Sdk",
        "archive": str(folder / "churn.tar.gz"),
        "object": outputs["ModelStoreUrl"] + target_model,
        "sklearn_archive": str(double(folder)),
        "source_dir": str(root / "examples" / "tenants" / "code"),
    }
    answer = folder / "answer.json"
    result = subprocess.run(
        [str(python), str(HERE / "sdk_client.py"), json.dumps(task), str(answer)],
        env={**os.environ, **account.local.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    used, made, scripted = json.loads(answer.read_text())
    return used, made, scripted


def test_predictor_of_the_sdk_gets_the_target_models_prediction(sdk: Results, sample: dict[str, Any]) -> None:
    used, *_ = sdk
    assert used["prediction"] == pytest.approx(sample["prediction"])


def test_sdk_sees_sagemakers_error_for_an_absent_model(sdk: Results) -> None:
    used, *_ = sdk
    assert used["error"]["Code"] == "ValidationError"
    assert "absent.tar.gz" in used["error"]["Message"]


def test_multi_data_model_of_the_sdk_uploads_copies_and_lists(sdk: Results, outputs: dict[str, str]) -> None:
    _, made, _ = sdk
    prefix = outputs["ModelStoreUrl"] + "sdk/"
    assert made["uploaded"] == [prefix + "churn.tar.gz", prefix + "north/copy.tar.gz"]
    assert made["listed"] == ["churn.tar.gz", "north/copy.tar.gz"]


def test_endpoint_of_the_sdk_predicts_with_each_of_its_models(sdk: Results, sample: dict[str, Any]) -> None:
    _, made, _ = sdk
    for prediction in made["predictions"]:
        assert prediction == pytest.approx(sample["prediction"])


def test_endpoint_of_the_sdk_runs_the_code_that_it_uploads(sdk: Results) -> None:
    *_, scripted = sdk
    assert scripted["prediction"] == pytest.approx([42])


def test_sdk_removes_what_it_made(sdk: Results, account: Account, outputs: dict[str, str]) -> None:
    sagemaker = account.client("sagemaker")
    endpoints = [found["EndpointName"] for found in sagemaker.list_endpoints()["Endpoints"]]
    assert endpoints == [outputs["EndpointName"]]
    assert len(sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 1
    assert len(sagemaker.list_models()["Models"]) == 1


@pytest.fixture(scope="module")
def aws(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run the AWS CLI and return what it printed."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("PyPI has the AWS CLI 2 for Linux x86_64 only")
    folder = tmp_path_factory.mktemp("aws-cli")
    install(folder / "environment", AWS_CLI)
    (package,) = folder.glob("environment/lib/*/site-packages/aws_cdk/asset_awscli_v2/_jsii/*.jsii.tgz")
    with tarfile.open(package) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        zipfile.ZipFile(io.BytesIO(layer.read())).extractall(folder)
    (program,) = folder.glob("awscli/v2/*/dist/aws")
    program.chmod(0o755)
    nobodys = {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")}

    def run(*arguments: str, cwd: Path = folder) -> str:
        environment = {**os.environ, **account.local.environment, **nobodys, "AWS_PAGER": ""}
        result = subprocess.run(
            [str(program), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


def test_cli_describes_and_lists_the_endpoint(aws: Callable[..., str], outputs: dict[str, str]) -> None:
    name = outputs["EndpointName"]
    described = json.loads(aws("sagemaker", "describe-endpoint", "--endpoint-name", name))
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointName"] == name
    listed = json.loads(aws("sagemaker", "list-endpoints", "--name-contains", name))
    (endpoint,) = listed["Endpoints"]
    assert endpoint["EndpointArn"] == described["EndpointArn"]
    assert datetime.datetime.fromisoformat(endpoint["CreationTime"]) <= datetime.datetime.now().astimezone()


def test_cli_invokes_as_the_guide_says(
    aws: Callable[..., str],
    outputs: dict[str, str],
    target_model: str,
    sample: dict[str, Any],
    root: Path,
    tmp_path: Path,
) -> None:
    text = (root / "docs" / "guides" / "first-endpoint.md").read_text()
    command = text.partition("\naws sagemaker-runtime")[2].partition("\n```")[0]
    command = command.replace("\\\n", " ").replace("<EndpointName>", outputs["EndpointName"])
    command = command.replace("<one of TargetModels>", target_model)
    answered = json.loads(aws("sagemaker-runtime", *shlex.split(command), cwd=tmp_path))
    assert answered["InvokedProductionVariant"] == "AllTraffic"
    (prediction,) = json.loads((tmp_path / "answer.txt").read_text())
    assert prediction == pytest.approx(sample["prediction"][0])


def test_cli_lists_buckets_and_models(aws: Callable[..., str], outputs: dict[str, str], target_model: str) -> None:
    url = outputs["ModelStoreUrl"]
    assert url.split("/")[2] in aws("s3", "ls").split()
    assert target_model in aws("s3", "ls", url).split()


def test_cli_uploads_with_the_managed_key(aws: Callable[..., str], outputs: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "note").write_text("encrypted")
    url = outputs["ModelStoreUrl"].replace("/models/", "/notes/")
    aws("s3", "cp", "--sse", "aws:kms", "note", url, cwd=tmp_path)
    assert "note" in aws("s3", "ls", url).split()


def test_cli_tails_the_servers_output(
    aws: Callable[..., str], outputs: dict[str, str], eventually: Callable[..., Any]
) -> None:
    group = f"/aws/sagemaker/Endpoints/{outputs['EndpointName']}"
    eventually(lambda: "Model server started." in aws("logs", "tail", group))
    (stream,) = json.loads(aws("logs", "describe-log-streams", "--log-group-name", group))["logStreams"]
    assert stream["logStreamName"].startswith("AllTraffic/i-")


def test_cli_reads_the_cache_hit_ratio(
    aws: Callable[..., str],
    account: Account,
    outputs: dict[str, str],
    target_model: str,
    sample: dict[str, Any],
    eventually: Callable[..., Any],
) -> None:
    for _ in range(2):
        account.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=outputs["EndpointName"],
            TargetModel=target_model,
            ContentType=sample["content_type"],
            Body=sample["body"].encode(),
        )
    variant = (f"Name=EndpointName,Value={outputs['EndpointName']}", "Name=VariantName,Value=AllTraffic")
    now = datetime.datetime.now().astimezone()
    hour = datetime.timedelta(hours=1)

    def statistics() -> list[dict[str, Any]]:
        answer = aws(
            *("cloudwatch", "get-metric-statistics", "--namespace", "AWS/SageMaker", "--metric-name", "ModelCacheHit"),
            *("--dimensions", *variant),
            *("--start-time", (now - hour).isoformat(), "--end-time", (now + hour).isoformat()),
            *("--period", "7200", "--statistics", "Average", "Sum", "SampleCount"),
        )
        found: list[dict[str, Any]] = json.loads(answer)["Datapoints"]
        return found

    eventually(lambda: sum(point["Sum"] for point in statistics()))
    for point in statistics():
        assert 0 <= point["Average"] <= 1
        assert point["SampleCount"] >= point["Sum"]
        assert point["Unit"] == "None"
