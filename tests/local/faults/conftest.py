"""A really served local AWS, models that say who they are, and callers that check every answer."""

from __future__ import annotations

import io
import itertools
import json
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from mme_local.hosting.spec import split_s3_url

ROLE = "arn:aws:iam::000000000000:role/Models"
MIB = 1024**2
MEMORY_BUDGET = 1
"""Of ``site``, in MiB: as good as none for models without padding."""
THIRD = 256 * 1024
"""Padding of a model of which three fit into that budget, by 1.2 times their files, and four do not."""

PROGRAM = {
    "SAGEMAKER_PROGRAM": "inference.py",
    "SAGEMAKER_SUBMIT_DIRECTORY": "s3://models/code/sourcedir.tar.gz",
}
"""What the scikit-learn image needs to start; each model has a program of that name, which comes before it."""

_SKLEARN = """
import os

def model_fn(model_dir):
    return {name!r}

def input_fn(data, content_type):
    return data

def predict_fn(data, model):
    return "%s %s %s" % (model, os.environ.get("VERSION", "-"), data)

def output_fn(prediction, accept):
    return prediction
"""

_TRITON = """
import os
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(request, "X")) for request in requests]

    def answer(self, number):
        text = "%s %s %s" % ({name!r}, os.environ.get("VERSION", "-"), number.as_numpy()[0])
        return pb_utils.InferenceResponse([pb_utils.Tensor("TEXT", np.array([text.encode()], dtype=np.object_))])
"""

_TRITON_CONFIG = """
backend: "python"
input [ { name: "X" data_type: TYPE_INT64 dims: [ 1 ] } ]
output [ { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""


def archive(files: Mapping[str, bytes]) -> bytes:
    """A ``.tar.gz`` of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass(frozen=True)
class Kind:
    """A model server, and how to have a model on it answer "<its name> <the container's VERSION> <a number>".

    Attributes:
        repository: Of its image.
        process: The name of its process.
        worker: What only the command of a process that holds a loaded model has in it.
    """

    repository: str
    process: str
    worker: str

    @property
    def image(self) -> str:
        return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{self.repository}"

    def files(self, name: str) -> dict[str, bytes]:
        if self.process == "java":
            return {"inference.py": _SKLEARN.format(name=name).encode()}
        return {"config.pbtxt": _TRITON_CONFIG.encode(), "1/model.py": _TRITON.format(name=name).encode()}

    def broken(self) -> dict[str, bytes]:
        """A model whose load fails."""
        return {
            name: b"raise ValueError('no weights')\n" + code if name.endswith(".py") else code
            for name, code in self.files("broken").items()
        }

    def request(self, number: int) -> bytes:
        if self.process == "java":
            return str(number).encode()
        return json.dumps({"inputs": [{"name": "X", "shape": [1], "datatype": "INT64", "data": [number]}]}).encode()

    def text(self, body: bytes) -> str:
        if self.process == "java":
            return body.decode()
        (output,) = json.loads(body)["outputs"]
        (text,) = output["data"]
        return str(text)


KINDS = {
    "mms": Kind("sagemaker-scikit-learn:1.9-0-cpu-py3", "java", "model_service_worker"),
    "triton": Kind("sagemaker-tritonserver:25.09-py3-cpu", "tritonserver", "triton_python_backend_stub"),
}

needs_triton = pytest.mark.skipif(sys.platform != "linux", reason="Triton runs on Linux only")
SERVERS = ["mms", pytest.param("triton", marks=needs_triton)]
"""The kinds, for tests that run on each."""


@dataclass(frozen=True)
class Answer:
    """What InvokeEndpoint answered: a body, or SageMaker's error."""

    status: int
    body: bytes = b""
    content_type: str = ""
    error: str = ""
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        return self.status == 200


class Callers:
    """Threads that call again and again until the block ends, which waits for their last answers.

    Args:
        call: Gets a number that no other call gets.
        threads: How many calls there are at a time.
    """

    def __init__(self, call: Callable[[int], Answer], threads: int = 4) -> None:
        self._call = call
        self._threads = threads
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self.answers: list[Answer] = []

    @property
    def good(self) -> int:
        """How many calls were answered with a prediction so far."""
        return sum(answer.ok for answer in self.answers)

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if not answer.ok]

    def __enter__(self) -> Callers:
        self._pool = ThreadPoolExecutor(self._threads)
        self._futures: list[Future[None]] = [self._pool.submit(self._run) for _ in range(self._threads)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for future in self._futures:
            future.result()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.answers.append(self._call(next(self._numbers)))


class Site:
    """A running ``mme serve --json``, with a bucket."""

    def __init__(self, local: Any, eventually: Callable[..., Any]) -> None:
        self.local = local
        self.eventually = eventually
        self.sagemaker = local.client("sagemaker")
        self.runtime = local.client("sagemaker-runtime", max_pool_connections=64, read_timeout=90)
        self.s3 = local.client("s3")
        self.s3.create_bucket(Bucket="models")
        bucket, key = split_s3_url(PROGRAM["SAGEMAKER_SUBMIT_DIRECTORY"])
        self.s3.put_object(Bucket=bucket, Key=key, Body=archive({"inference.py": b""}))
        self._numbers = itertools.count(1)

    @property
    def hosting(self) -> Path:
        """Where the models and logs of all servers are."""
        return Path(self.records("serving")[0]["folder"]) / "hosting"

    def records(self, event: str, **members: Any) -> list[dict[str, Any]]:
        """What the log tells of an event."""
        lines = self.local.log.read_text().rpartition("\n")[0].splitlines()
        wanted = {"event": event, **members}
        return [record for record in map(json.loads, lines) if wanted.items() <= record.items()]

    def processes(self, name: str) -> list[psutil.Process]:
        """Every running server of this name."""
        found = psutil.Process(self.local.process.pid).children(recursive=True)
        return [process for process in found if name_of(process) == name]

    def container(self, kind: str, prefix: str, **changes: Any) -> dict[str, Any]:
        image, url = KINDS[kind].image, f"s3://models/{prefix}/"
        environment = {
            **(PROGRAM if kind == "mms" and "Image" not in changes else {}),
            **changes.pop("Environment", {}),
        }
        return {"Image": image, "Mode": "MultiModel", "ModelDataUrl": url, "Environment": environment, **changes}

    def config(self, *containers: Mapping[str, Any], count: int = 1, mode: str = "Serial") -> str:
        """An endpoint configuration with one variant."""
        number = next(self._numbers)
        self.sagemaker.create_model(
            ModelName=f"M{number}",
            ExecutionRoleArn=ROLE,
            Containers=list(containers),
            InferenceExecutionConfig={"Mode": mode},
        )
        variant = {"VariantName": "AllTraffic", "ModelName": f"M{number}", "InstanceType": "ml.m5.xlarge"}
        variants = [{**variant, "InitialInstanceCount": count}]
        self.sagemaker.create_endpoint_config(EndpointConfigName=f"C{number}", ProductionVariants=variants)
        return f"C{number}"

    def settled(self, name: str) -> dict[str, Any]:
        """The endpoint when its change is over."""

        def described() -> dict[str, Any] | None:
            answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            return answer if answer["EndpointStatus"] in ("InService", "Failed") else None

        found: dict[str, Any] = self.eventually(described, 180)
        return found

    def start(self, config: str) -> str:
        """A new endpoint, being created."""
        name = f"endpoint{next(self._numbers)}"
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return name

    def create(self, config: str) -> dict[str, Any]:
        """A new endpoint, when it is in service or has failed."""
        return self.settled(self.start(config))

    def update(self, name: str, config: str) -> dict[str, Any]:
        self.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
        return self.settled(name)

    def delete(self, name: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=name)

        def gone() -> bool:
            return not self.sagemaker.list_endpoints(NameContains=name)["Endpoints"]

        self.eventually(gone, 180)

    def invoke(self, endpoint: str, body: bytes, content_type: str = "application/json", **options: str) -> Answer:
        try:
            answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=content_type, **options)
        except ClientError as error:
            response: Any = error.response
            status = response["ResponseMetadata"]["HTTPStatusCode"]
            details = {name: value for name, value in response.items() if name.startswith("Original")}
            found = response["Error"]
            return Answer(status, error=found["Code"], message=found["Message"], details=details)
        with answer["Body"] as stream:
            return Answer(200, stream.read(), answer["ContentType"])


class Endpoint:
    """A multi-model endpoint in service, with a prefix of its own."""

    def __init__(self, site: Site, kind: str, *, prefix: str, count: int = 1, **changes: Any) -> None:
        self.site = site
        self.kind = KINDS[kind]
        self.prefix = prefix
        self._container = site.container(kind, prefix, **changes)
        before = site.processes(self.kind.process)
        described = site.create(site.config(self._container, count=count))
        assert described["EndpointStatus"] == "InService", described
        self.name: str = described["EndpointName"]
        self.servers = [process for process in site.processes(self.kind.process) if process not in before]

    @property
    def disk(self) -> Path:
        """Where its instance keeps models: beside the folder that its server's log is in."""
        return Path(f"/proc/{self.servers[0].pid}/fd/1").readlink().parents[2] / "models"

    def holding(self) -> list[psutil.Process]:
        """The processes that hold a loaded model."""
        found = self.servers[0].children(recursive=True)
        return [process for process in found if self.kind.worker in " ".join(process.cmdline())]

    def put(self, model: str, content: bytes) -> None:
        """Add an artifact, whatever is in it."""
        self.site.s3.put_object(Bucket="models", Key=f"{self.prefix}/{model}", Body=content)

    def add(self, *models: str, padding: int = 0) -> None:
        """Add models that answer with their names, of at least this many bytes."""
        for model in models:
            self.put(model, archive({**self.kind.files(model), "padding": bytes(padding)}))

    def call(self, model: str, number: int = 0) -> Answer:
        return self.site.invoke(self.name, self.kind.request(number), TargetModel=model)

    def ask(self, model: str, number: int = 0, version: str = "-") -> Answer:
        """Call a model of ``add``; its answer is its own and of its container's version, or an error."""
        answer = self.call(model, number)
        if answer.ok:
            assert self.kind.text(answer.body) in [f"{model} {one} {number}" for one in version.split("|")]
        return answer

    def update(self, *, count: int = 1, **changes: Any) -> dict[str, Any]:
        changes["Environment"] = {**self._container["Environment"], **changes.get("Environment", {})}
        return self.site.update(self.name, self.site.config({**self._container, **changes}, count=count))

    def events(self, event: str, model: str) -> list[dict[str, Any]]:
        """What happened to a model on any of its instances: "downloaded", "loaded", "unloaded" and the like."""
        records = self.site.records(event, target_model=model)
        return [record for record in records if record["instance"].startswith(f"{self.name}/")]

    def loads(self, model: str) -> int:
        return len(self.events("loaded", model))


def name_of(process: psutil.Process) -> str:
    """A process's name, empty once it is gone."""
    try:
        return process.name()
    except psutil.Error:
        return ""


@pytest.fixture(scope="session")
def site(
    start_local: Callable[..., Any], eventually: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """One for all tests that leave it running."""
    log = tmp_path_factory.mktemp("site") / "log.txt"
    local = start_local(log, "--json", "--docker", "never", "--memory-budget", str(MEMORY_BUDGET))
    yield Site(local, eventually)
    local.stop()
    assert local.process.returncode == 0


@pytest.fixture(scope="session")
def shared(site: Site) -> Callable[[str], Endpoint]:
    """The endpoint of a kind that tests share, each with models of its own."""
    made: dict[str, Endpoint] = {}

    def get(kind: str) -> Endpoint:
        if kind not in made:
            made[kind] = Endpoint(site, kind, prefix=f"shared-{kind}")
            made[kind].add("good.tar.gz")
        return made[kind]

    return get


@pytest.fixture
def endpoint(site: Site) -> Iterator[Callable[..., Endpoint]]:
    """Make an endpoint for one test."""
    made: list[Endpoint] = []

    def make(kind: str, **options: Any) -> Endpoint:
        made.append(Endpoint(site, kind, prefix=f"own-{next(site._numbers)}", **options))
        return made[-1]

    yield make
    for each in made:
        site.delete(each.name)
