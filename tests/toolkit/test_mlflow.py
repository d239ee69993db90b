"""``mme push`` from a real MLflow tracking server, to the real model servers.

What the server and its models need beside ``requirements-dev.txt`` is in a folder of its own: with pandas installed,
each XGBoost model of all other tests would take a second longer to load.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from mme_local.testing import LocalEndpoint
from multi_model_endpoint.publishing import push as command

HERE = Path(__file__).parent
ROLE = "arn:aws:iam::000000000000:role/Models"
IMAGES = {
    "sklearn": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.9-0",
    "xgboost": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0",
    "triton": "785573368785.dkr.ecr.us-east-1.amazonaws.com/sagemaker-tritonserver:26.05-py3",
}

Push = Callable[..., str]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has what this one has, and MLflow's server, pandas and skops."""
    folder = tmp_path_factory.mktemp("environment")
    python = folder / "bin" / "python"
    for arguments in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "install", "--quiet", "--no-deps", "--python", str(python), "--requirements", str(HERE / "mlflow.txt")],
    ):
        subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    here = sysconfig.get_path("purelib")
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    return str(python)


@pytest.fixture(scope="module")
def tracking_process(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A tracking server that is just starting: its URL and log."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    options += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts"]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [python, "-m", "mlflow", "server", *options],
            cwd=folder,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    yield f"http://127.0.0.1:{port}", folder / "log.txt"
    os.killpg(process.pid, 15)
    process.wait(30)


@pytest.fixture(scope="module")
def aws(
    tracking_process: Any,
    python: str,
    start_local: Callable[..., LocalEndpoint],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalEndpoint]:
    """A local endpoint whose servers run in that Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", python)
        local = start_local(tmp_path_factory.mktemp("serving") / "log.txt")
    local.client("s3").create_bucket(Bucket="store")
    yield local
    local.stop()


@pytest.fixture(scope="module")
def logged(
    aws: LocalEndpoint,
    tracking_process: tuple[str, Path],
    python: str,
    eventually: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Any]:
    """What the models on the server predict in the process that has trained them."""
    url, log = tracking_process

    def up() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        eventually(up, 240)
    except AssertionError:
        pytest.fail(log.read_text())
    folder = tmp_path_factory.mktemp("training")
    done = subprocess.run(
        [python, str(HERE / "mlflow_models.py"), str(folder)],
        cwd=folder,
        env=os.environ | {"MLFLOW_TRACKING_URI": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture
def run(
    aws: LocalEndpoint, logged: Any, tracking_process: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """``mme push`` into the store."""
    for name, value in {**aws.environment, "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_process[0])
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps its credentials
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(command, [*arguments, "s3://store/models/"])


@pytest.fixture
def push(run: Callable[..., Result]) -> Push:
    def once(*arguments: str) -> str:
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    return once


@pytest.fixture
def refused(run: Callable[..., Result]) -> Push:
    def once(*arguments: str) -> str:
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        return result.stderr

    return once


@pytest.fixture(scope="module")
def endpoint(
    aws: LocalEndpoint, eventually: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """An endpoint over the store for each framework, made when it is first asked for."""
    program = tmp_path_factory.mktemp("program")
    (program / "inference.py").write_text("# each model has its own\n")  # that the image imports when it starts
    script = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(program)}

    @functools.cache
    def made(framework: str) -> str:
        sagemaker, name = aws.client("sagemaker"), f"mlflow-{framework}"
        container = {"Image": IMAGES[framework], "Mode": "MultiModel", "ModelDataUrl": "s3://store/models/"}
        environment = {"Environment": script if framework == "sklearn" else {}}
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, Containers=[container | environment])
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1}
        variants = [variant | {"InstanceType": "ml.m5.xlarge"}]
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

        def settled() -> Any:
            described = sagemaker.describe_endpoint(EndpointName=name)
            return described if described["EndpointStatus"] != "Creating" else None

        described = eventually(settled, 120)
        assert described["EndpointStatus"] == "InService", described
        return name

    return made


@pytest.fixture
def invoke(aws: LocalEndpoint, endpoint: Callable[[str], str]) -> Callable[..., Any]:
    def ask(framework: str, target_model: str, body: bytes, content_type: str) -> Any:
        answer = aws.client("sagemaker-runtime", read_timeout=240).invoke_endpoint(
            EndpointName=endpoint(framework),
            TargetModel=target_model,
            Body=body,
            ContentType=content_type,
            Accept="application/json",
        )
        return json.loads(answer["Body"].read())

    return ask


def csv(rows: Any) -> bytes:
    return "\n".join(",".join(map(str, row)) for row in rows).encode()


def files(aws: LocalEndpoint, target_model: str) -> list[str]:
    body = aws.client("s3").get_object(Bucket="store", Key=f"models/{target_model}")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return archive.getnames()


def test_a_pipeline_with_named_columns_answers_as_where_it_was_trained(
    push: Push, invoke: Callable[..., Any], logged: Any
) -> None:
    churn = push("mlflow:models:/churn@champion")
    assert re.fullmatch(r"churn-[0-9a-f]{8}\.tar\.gz", churn)
    assert invoke("sklearn", churn, csv(logged["churn"]["rows"]), "text/csv") == logged["churn"]["answers"]


def test_a_pickled_model_brings_its_code_and_predicts_by_the_function_it_was_logged_with(
    push: Push, invoke: Callable[..., Any], logged: Any
) -> None:
    rows, answers = logged["scores"].values()
    given = invoke("sklearn", push("mlflow:models:/scores/1"), json.dumps(rows).encode(), "application/json")
    assert given == [pytest.approx(answer) for answer in answers]


def test_a_booster_answers_as_where_it_was_trained(
    push: Push, invoke: Callable[..., Any], aws: LocalEndpoint, logged: Any
) -> None:
    risk = push("mlflow:models:/risk/latest")
    assert files(aws, risk) == ["xgboost-model"]
    answers = invoke("xgboost", risk, csv(logged["risk"]["rows"]), "text/csv")
    assert answers == pytest.approx(logged["risk"]["answers"])


@pytest.mark.skipif(sys.platform != "linux", reason="Triton runs on Linux alone")
def test_any_model_answers_in_tritons_python_backend(push: Push, invoke: Callable[..., Any], logged: Any) -> None:
    texts, numbers = zip(*logged["echo"]["rows"], strict=True)
    inputs = [
        {"name": "text", "shape": [2], "datatype": "BYTES", "data": texts},
        {"name": "number", "shape": [2], "datatype": "FP64", "data": numbers},
    ]
    body = json.dumps({"inputs": inputs}).encode()
    answer = invoke("triton", push("mlflow:models:/echo/1"), body, "application/json")
    columns = {each["name"]: each["data"] for each in answer["outputs"]}
    assert [*map(list, zip(columns["text"], columns["twice"], strict=True))] == logged["echo"]["answers"]


@pytest.mark.skipif(sys.platform != "linux", reason="Triton runs on Linux alone")
def test_a_model_of_tensors_keeps_their_shapes_in_triton(push: Push, invoke: Callable[..., Any], logged: Any) -> None:
    rows, answers = logged["prices"].values()
    inputs = [{"name": "input", "shape": [3, 2], "datatype": "FP64", "data": rows}]
    target = push("mlflow:models:/prices/2", "--framework", "triton")
    (output,) = invoke("triton", target, json.dumps({"inputs": inputs}).encode(), "application/json")["outputs"]
    assert output == {"name": "output", "shape": [3], "datatype": "FP64", "data": pytest.approx(answers)}


def test_a_version_has_one_name_however_it_is_asked_for_and_is_uploaded_once(run: Callable[..., Result]) -> None:
    first = run("mlflow:models:/churn@champion")
    again = run("mlflow:models:/churn/1", "mlflow:models:/prices/1")
    other = run("mlflow:models:/prices/2", "--folder", "tenant_a", "--name", "cost")
    assert first.exit_code == again.exit_code == other.exit_code == 0
    churn, prices = again.stdout.splitlines()
    assert churn == first.stdout.strip()
    assert f"unchanged {churn}" in again.stderr
    assert re.fullmatch(r"tenant_a/cost-[0-9a-f]{8}\.tar\.gz\n", other.stdout)
    assert prices[-15:] != other.stdout.strip()[-15:]


def test_a_folder_that_mlflow_reads_without_a_server_is_a_model_too(
    push: Push, tracking_process: tuple[str, Path]
) -> None:
    described = tracking_process[1].parent.rglob("MLmodel")
    folder = next(each.parent for each in described if "flavors:\n  python_function" in each.read_text())
    assert push(f"mlflow:{folder}", "--dry-run").startswith("artifacts-")


def test_says_what_the_model_was_made_with_and_where_the_image_answers_otherwise(run: Callable[..., Result]) -> None:
    result = run("mlflow:models:/risk-class/1", "--dry-run")
    version = re.escape(sys.version.split()[0])
    made = rf"warning: mlflow:models:/risk-class/1: made with Python {version}, xgboost==[\d.]+: choose an image"
    assert re.search(made, result.stderr)
    assert "answers as the booster of XGBClassifier does, for a classifier with probabilities" in result.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mlflow:models:/nobody/1", "RESOURCE_DOES_NOT_EXIST: Registered Model with name=nobody not found"),
        ("mlflow:models:/churn@nobody", "Registered model alias nobody not found"),
        ("mlflow:models:/churn/77", "Model Version (name=churn, version=77) not found"),
        ("mlflow:runs:/77/model", "Run with id=77 not found"),
        ("mlflow:runs:/{notes}/notes", "must be a model, got no MLmodel file that says so"),
    ],
)
def test_says_what_is_not_there(refused: Push, logged: Any, source: str, message: str) -> None:
    assert message in refused(source.format(notes=logged["notes"]))


@pytest.mark.parametrize(
    ("source", "framework", "message"),
    [
        ("echo", "sklearn", "flavours python_function: --framework can be xgboost (from xgboost), sklearn (from sk"),
        ("prices", "pytorch", "can't be packed for pytorch, got a model with the flavours python_function, sklearn"),
        ("scores", "triton", "its signature must have inputs, which Triton wants to know: log the model with a"),
    ],
)
def test_says_for_which_frameworks_a_model_can_be_packed(
    refused: Push, source: str, framework: str, message: str
) -> None:
    assert message in refused(f"mlflow:models:/{source}/1", "--framework", framework)


def test_says_that_there_is_no_server(refused: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # not listening
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}")
        message = refused("mlflow:models:/churn/1")
    assert "mlflow:models:/churn/1 can't be had from the server of MLFLOW_TRACKING_URI" in message
    assert "Connection refused" in message
    assert "secret" not in message


def test_says_that_no_server_is_named(refused: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "can't be had: MLFLOW_TRACKING_URI is not set" in refused("mlflow:models:/churn/1")
