"""Images of our own in the real Docker, and a served local AWS that runs them."""

from __future__ import annotations

import fcntl
import io
import itertools
import json
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from botocore.exceptions import ClientError

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.docker.client import Daemon, Docker
from mme_local.servers.docker.server import DockerServer
from mme_local.testing import LocalEndpoint

from .images import derive, docker, make
from .registry import Registry, serve

ROLE = "arn:aws:iam::000000000000:role/Models"
MEMORY_MIB = 192


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    return buffer.getvalue()


@dataclass(frozen=True)
class Images:
    """Names of images, by what is special about them."""

    usual: str
    unlabelled: str
    """Has no label for pipelines."""
    of_a_user: str
    """Runs as somebody who is not root."""
    model_inside: str


@pytest.fixture(params=range(int(os.environ.get("MME_FAULT_TIMES", "1"))))
def again(request: pytest.FixtureRequest) -> None:
    """Have a test run ``MME_FAULT_TIMES`` times: what races does not lose every time."""


@pytest.fixture(scope="session")
def images(needs_docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    repository = f"mme-test-{os.getpid()}"
    names = Images(*(f"{repository}:{tag}" for tag in ("usual", "unlabelled", "user", "inside")))
    make(names.usual, tmp_path_factory.mktemp("image"))
    label = "com.amazonaws.sagemaker.capabilities"
    derive(names.usual, names.unlabelled, f"LABEL {label}.accept-bind-to-port=false {label}.multi-models=false")
    derive(names.usual, names.of_a_user, "USER 12345")
    derive(names.usual, names.model_inside, "ENV MODEL_INSIDE=yes")
    yield names
    docker("rmi", "--force", *vars(names).values())


@pytest.fixture
def registry(images: Images) -> Iterator[Registry]:
    """One with an image that has no label."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        file = tarfile.TarInfo("file")
        file.size = 16  # another layer each time, or it would not be pulled
        tar.addfile(file, io.BytesIO(secrets.token_bytes(16)))
    made = Registry(layer.getvalue(), {"who": "nobody"})
    with serve(made):
        yield made


class Site:
    """A running ``mme serve``, with a bucket."""

    def __init__(self, local: LocalEndpoint, eventually: Callable[..., Any]) -> None:
        self.local = local
        self.eventually = eventually
        self.sagemaker = local.client("sagemaker")
        self.runtime = local.client("sagemaker-runtime", read_timeout=90)
        self.s3 = local.client("s3")
        self.s3.create_bucket(Bucket="models")
        self._numbers = itertools.count(1)

    def put(self, model: str, **files: str) -> None:
        """Add a model that says its name."""
        self.s3.put_object(Bucket="models", Key=f"m/{model}.tar.gz", Body=archive(name=model, **files))

    def model(self, *containers: Mapping[str, Any], mode: str = "Serial", isolated: bool = False) -> str:
        name = f"M{next(self._numbers)}"
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            Containers=list(containers),
            InferenceExecutionConfig={"Mode": mode},
            EnableNetworkIsolation=isolated,
        )
        return name

    def start(self, model: str, instance_type: str = "ml.m5.xlarge") -> str:
        variant = {"VariantName": "V", "ModelName": model, "InstanceType": instance_type, "InitialInstanceCount": 1}
        self.sagemaker.create_endpoint_config(EndpointConfigName=model, ProductionVariants=[variant])
        self.sagemaker.create_endpoint(EndpointName=f"E{model}", EndpointConfigName=model)
        return f"E{model}"

    def settled(self, endpoint: str) -> tuple[str, str]:
        """The endpoint's status, when it has come up or not, and why not."""

        def described() -> Any:
            found = self.sagemaker.describe_endpoint(EndpointName=endpoint)
            return found["EndpointStatus"] != "Creating" and found

        found = self.eventually(described, 180)
        return found["EndpointStatus"], found.get("FailureReason", "")

    def deploy(self, *containers: Mapping[str, Any], **options: Any) -> str:
        endpoint = self.start(self.model(*containers, **options))
        assert self.settled(endpoint) == ("InService", "")
        return endpoint

    def deploy_all(self, *models: Sequence[Mapping[str, Any]]) -> list[str]:
        """Deploy several at once."""
        endpoints = [self.start(self.model(*containers)) for containers in models]
        assert [self.settled(endpoint) for endpoint in endpoints] == [("InService", "")] * len(endpoints)
        return endpoints

    def delete(self, endpoint: str) -> None:
        """Have it deleted, which nobody waits for."""
        self.sagemaker.delete_endpoint(EndpointName=endpoint)

    def call(self, endpoint: str, body: str | Mapping[str, Any] = "x", model: str | None = None, **options: str) -> str:
        """Call it; a mapping is what the container shall do."""
        if model is not None:
            options["TargetModel"] = f"{model}.tar.gz"
        sent = body if isinstance(body, str) else json.dumps(body)
        answer = self.runtime.invoke_endpoint(EndpointName=endpoint, Body=sent.encode(), **options)
        return str(answer["Body"].read().decode())

    def call_refused(self, endpoint: str, body: str | Mapping[str, Any] = "x", model: str | None = None) -> str:
        """Call it in vain; return the error."""
        with pytest.raises(ClientError) as caught:
            self.call(endpoint, body, model)
        return str(caught.value)

    @property
    def folder(self) -> str:
        lines = map(json.loads, self.local.log.read_text().splitlines())
        return next(str(line["folder"]) for line in lines if line["event"] == "serving")

    def containers(self) -> list[str]:
        """The ids of its containers, running or not."""
        return _labelled("container", self.folder)

    def launchers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.local.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # a zombie is one, too
                if "launch.py" in " ".join(process.cmdline()):
                    found.append(process)
        return found


def labelled(folder: str) -> list[str]:
    """The ids of containers, running or not, and networks that the local AWS with this working folder has made."""
    return _labelled("container", folder) + _labelled("network", folder)


def _labelled(kind: str, folder: str) -> list[str]:
    everything = ["--all"] if kind == "container" else []
    form = '{{.ID}} {{.Label "mme-local.owner"}}'
    lines = docker(kind, "ls", *everything, "--filter", "label=mme-local.owner", "--format", form).splitlines()
    return [line.split()[0] for line in lines if line.endswith(f":{folder}/lock")]


def multi_model(image: str, **environment: str) -> dict[str, Any]:
    return {"Image": image, "Mode": "MultiModel", "ModelDataUrl": "s3://models/m/", "Environment": environment}


@pytest.fixture(scope="session")
def site(
    images: Images,
    start_local: Callable[..., LocalEndpoint],
    eventually: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """One for all tests that leave it running."""
    log = tmp_path_factory.mktemp("docker") / "log.txt"
    site = Site(start_local(log, "--json", "--docker-memory", str(MEMORY_MIB)), eventually)
    for model in "abc":
        site.put(model)
    yield site
    folder = site.folder
    site.local.stop()
    assert site.local.process.returncode == 0
    assert labelled(folder) == []


@pytest.fixture(scope="session")
def endpoint(site: Site, images: Images) -> str:
    """A multi-model endpoint that tests share; two models fit."""
    return site.deploy(multi_model(images.usual, CAPACITY="2", GREETING="two\nlines", EMPTY=""))


@pytest.fixture
def own_site(
    images: Images, start_local: Callable[..., LocalEndpoint], eventually: Callable[..., Any], tmp_path: Path
) -> Iterator[Callable[..., Site]]:
    """Start one that the test may kill."""
    started: list[Site] = []

    def start(*options: str, **settings: Any) -> Site:
        local = start_local(tmp_path / f"log{len(started)}.txt", "--json", *options, **settings)
        started.append(Site(local, eventually))
        return started[-1]

    yield start
    for site in started:
        folder = site.folder
        site.local.process.kill()
        site.local.process.wait()
        site.eventually(lambda folder=folder: labelled(folder) == [])


RunOne = Callable[..., None]


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[Path]:
    """Held, or whichever ``mme serve`` starts meanwhile removes our container as left behind."""
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Path(file.name)


@pytest.fixture
def run_one(images: Images, lock: Path, tmp_path: Path) -> RunOne:
    """Start a container with the model "a" in this process, and do something with it."""

    def run(use: Callable[[DockerServer, Path], Any], *, near: bool) -> None:
        instance = tmp_path / "i0"
        model = instance / "models" / "a-0" / "model"
        model.mkdir(parents=True)
        (model / "name").write_text("a")
        client = Docker(os.environ, lock)
        client.daemon = Daemon(client.daemon.memory, client.daemon.gpus, near)

        async def main() -> None:
            server = DockerServer(ContainerSpec(images.usual, True), instance / "c0" / "0", client)
            await server.start(120, instance / "models")
            try:
                await server.load("a", "a.tar.gz", model)
                await use(server, instance)
            finally:
                await server.stop()
            assert docker("network", "ls", "--quiet", "--filter", f"label={client.label}") == ""

        anyio.run(main)

    return run
