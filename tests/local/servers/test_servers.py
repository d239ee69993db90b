"""Both model servers, the real ones, behind the one interface."""

from __future__ import annotations

import asyncio
import http.server
import json
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import LoadError, OutOfMemory, ServerError, UnsupportedImage
from mme_local.servers.choice import server_for
from mme_local.servers.contract import HttpModelServer
from mme_local.servers.mms import MultiModelServer

from .conftest import Kit, NewServer, SharedServer

KINDS = ["xgboost", "triton"]
GOOD = {"xgboost": "house-price", "triton": "iris"}


def prediction_of(body: bytes) -> Any:
    answer = json.loads(body)
    if isinstance(answer, list):
        return answer
    return {output["name"]: output["data"] for output in answer["outputs"]}


@pytest.mark.parametrize("model", ["house-price", "customer-churn", "iris", "language"])
async def test_answers_what_the_library_answers(kit: type[Kit], shared_server: SharedServer, model: str) -> None:
    server = await shared_server(kit.sample(model)["server"])
    await server.load(model, f"{model}.tar.gz", kit.directory(model))
    response = await kit.invoke(server, model, model)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    prediction = prediction_of(response.body)
    expected = kit.sample(model)["prediction"]
    if isinstance(expected, list):
        assert prediction == pytest.approx(expected)
    else:
        for name, values in expected.items():
            assert prediction[name] == (values if isinstance(values[0], str) else pytest.approx(values, rel=1e-5))


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_pings(shared_server: SharedServer, kind: str) -> None:
    assert await (await shared_server(kind)).ping() is True


@pytest.mark.parametrize("kind", KINDS)
async def test_refuses_a_second_load_and_keeps_the_first(
    kit: type[Kit], shared_server: SharedServer, kind: str
) -> None:
    server, model = await shared_server(kind), GOOD[kind]
    await server.load("twice", "twice.tar.gz", kit.directory(model))
    with pytest.raises(LoadError) as caught:
        await server.load("twice", "twice.tar.gz", kit.directory(model))
    assert caught.value.status == 409
    assert (await kit.invoke(server, "twice", model)).status == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_404_for_a_model_that_is_not_loaded(
    kit: type[Kit], shared_server: SharedServer, kind: str
) -> None:
    assert (await kit.invoke(await shared_server(kind), "unknown", GOOD[kind])).status == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_unloading_a_model_that_is_not_loaded_is_no_error(shared_server: SharedServer, kind: str) -> None:
    await (await shared_server(kind)).unload("unknown")


@pytest.mark.parametrize("kind", KINDS)
async def test_takes_any_name(kit: type[Kit], shared_server: SharedServer, kind: str) -> None:
    server, model = await shared_server(kind), GOOD[kind]
    name, target = "../a b%2Fc?d#e", "tenant-a/b%2Fc?d#e:f=1.tar.gz"
    await server.load(name, target, kit.directory(model))
    assert (await kit.invoke(server, name, model, target)).status == 200
    await server.unload(name)
    assert (await kit.invoke(server, name, model, target)).status == 404


def broken_model(kit: type[Kit], kind: str, directory: Path) -> Path:
    if kind == "triton":
        return kit.triton_model(directory, "raise ValueError('this model is broken')")
    (directory / "xgboost-model").parent.mkdir(parents=True, exist_ok=True)
    (directory / "xgboost-model").write_text("this model is broken")
    return directory


@pytest.mark.parametrize("kind", KINDS)
async def test_a_good_model_loads_under_the_name_of_one_that_failed(
    kit: type[Kit], shared_server: SharedServer, kind: str, tmp_path: Path
) -> None:
    server, model = await shared_server(kind), GOOD[kind]
    assert isinstance(server, HttpModelServer)
    broken = broken_model(kit, kind, tmp_path / "model")
    reason = "this model is broken" if kind == "triton" else "unable to load model"

    async def fails_and_says_why() -> None:
        with pytest.raises(LoadError) as caught:
            await server.load("mended", "mended.tar.gz", broken)
        assert not isinstance(caught.value, OutOfMemory)
        assert caught.value.status != 409
        assert reason in str(caught.value) + server.log.read_text()

    await fails_and_says_why()
    await fails_and_says_why()
    await server.load("mended", "mended.tar.gz", kit.directory(model))
    assert (await kit.invoke(server, "mended", model)).status == 200


OUT_OF_MEMORY = "def model_fn(model_dir):\n    raise MemoryError\n"
OUT_OF_MEMORY_TRITON = """
class TritonPythonModel:
    def initialize(self, args):
        raise MemoryError("MemoryError: too big")
"""


@pytest.mark.parametrize("kind", ["sklearn", "triton"])
async def test_a_model_that_does_not_fit_is_out_of_memory_and_leaves_no_trace(
    kit: type[Kit], shared_server: SharedServer, kind: str, tmp_path: Path
) -> None:
    server = await shared_server(kind)
    write, code = (kit.triton_model, OUT_OF_MEMORY_TRITON) if kind == "triton" else (kit.sklearn_model, OUT_OF_MEMORY)
    model = write(tmp_path / "model", code)
    for _ in range(2):
        with pytest.raises(OutOfMemory) as caught:
            await server.load("big", "big.tar.gz", model)
        assert caught.value.status == 507


@pytest.mark.parametrize("kind", KINDS)
async def test_a_killed_server_is_an_error_and_can_be_started_again(
    kit: type[Kit], new_server: NewServer, kind: str
) -> None:
    server, model = new_server(kind), GOOD[kind]
    before = {process.pid for process in kit.descendants()}
    await server.start(60)
    await server.load("model", "model.tar.gz", kit.directory(model))
    started = [process for process in kit.descendants() if process.pid not in before]
    (process,) = [process for process in started if process.name() in ("java", "tritonserver")]
    process.kill()
    process.wait()
    with pytest.raises(ServerError):
        await kit.invoke(server, "model", model)
    assert await server.ping() is False
    await server.stop()
    await server.start(60)
    assert (await kit.invoke(server, "model", model)).status == 404


@pytest.mark.parametrize("kind", KINDS)
async def test_stop_leaves_nothing_behind(
    kit: type[Kit], new_server: NewServer, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = new_server(kind)
    before = {process.pid for process in kit.descendants()}
    await server.start(60)
    await server.load("model", "model.tar.gz", kit.directory(GOOD[kind]))
    started = [process.pid for process in kit.descendants() if process.pid not in before]
    regions = kit.memory_regions(started)
    assert len(started) > 2
    assert len(kit.shared_memory(regions)) >= len(regions) == (kind == "triton")
    await server.stop()
    assert kit.alive(started) == []
    assert list(tmp_path.glob("mme-*")) == []  # noqa: ASYNC240 - nobody else is served
    assert kit.shared_memory(regions) == []


OWNER = """
import asyncio, json, sys, tempfile
from pathlib import Path
from mme_local.servers import mms
from mme_local.servers.choice import server_for
from mme_local.hosting.spec import ContainerSpec

async def main(image, model, work):
    tempfile.tempdir = work
    server = server_for(ContainerSpec(image=image, multi_model=True), Path(work, "server"))
    await server.start(60)
    await server.load("model", "model.tar.gz", Path(model))
    print("loaded", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outlives_a_killed_owner(kit: type[Kit], kind: str, tmp_path: Path) -> None:
    arguments = [kit.images[kind], str(kit.directory(GOOD[kind])), str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", OWNER, *arguments], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"loaded\n"
        started = [process.pid for process in kit.descendants(owner.pid)]
        assert len(started) > 2
        regions = kit.memory_regions(started)
        owner.send_signal(signal.SIGKILL)
    kit.wait_until(lambda: not kit.alive(started))
    kit.wait_until(lambda: not list(tmp_path.glob("mme-*")))
    assert kit.shared_memory(regions) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_listens_where_nobody_else_can_connect(kit: type[Kit], new_server: NewServer, kind: str) -> None:
    before = {process.pid for process in kit.descendants()}
    server = new_server(kind, MMS_INFERENCE_ADDRESS="http://0.0.0.0:8080", MMS_MANAGEMENT_ADDRESS="http://0.0.0.0:8081")
    await server.start(60)
    await server.load("model", "model.tar.gz", kit.directory(GOOD[kind]))
    assert kit.listening([process for process in kit.descendants() if process.pid not in before]) == []
    for socket in kit.sockets(before):
        assert socket.parent.stat().st_mode & 0o077 == 0, socket


async def test_multi_model_server_cannot_download_a_model(kit: type[Kit], new_server: NewServer) -> None:
    requests: list[str] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

    server = new_server("xgboost", SAGEMAKER_MODEL_SERVER_VMARGS="-Dhttp.nonProxyHosts=*")
    assert isinstance(server, MultiModelServer)
    await server.start(60)
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as page:
        thread = threading.Thread(target=page.serve_forever)
        thread.start()
        for host in ("127.0.0.1", "localhost"):
            for scheme in ("http", "https"):
                url = f"{scheme}://{host}:{page.server_port}/model.mar"
                request = {"model_name": "m", "handler": "os:system", "url": url}
                answer = await server._request("POST", "/models", "m", request)
                assert answer[0] == 400, answer
                assert b"Failed to download model" in answer[1]
        page.shutdown()
        thread.join()
    assert requests == []


@pytest.mark.parametrize(
    ("kind", "environment", "reason"),
    [
        ("xgboost", {"SAGEMAKER_MAX_HEAP_SIZE": "plenty"}, "Invalid maximum heap size"),
        ("triton", {"SAGEMAKER_TRITON_ADDITIONAL_ARGS": "--no-such-option"}, "no-such-option"),
    ],
)
async def test_a_server_that_cannot_start_says_why_at_once(
    new_server: NewServer, kind: str, environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(ServerError, match=reason):
        await asyncio.wait_for(new_server(kind, **environment).start(600), 120)


async def test_a_server_that_is_late_is_stopped(kit: type[Kit], new_server: NewServer) -> None:
    before = {process.pid for process in kit.descendants()}
    with pytest.raises(ServerError, match="in time"):
        await new_server("xgboost").start(0)
    assert {process.pid for process in kit.descendants()} <= before


async def test_a_server_that_is_not_running_is_an_error(new_server: NewServer) -> None:
    server = new_server("xgboost")
    assert await server.ping() is False
    with pytest.raises(ServerError, match="not running"):
        await server.load("model", "model.tar.gz", Path("/"))
    with pytest.raises(ServerError, match="not running"):
        await server.invoke("model", "model.tar.gz", b"", {})


async def test_hands_the_containers_environment_to_the_model_and_nothing_of_ours(
    kit: type[Kit], new_server: NewServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_OURS", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    code = """
import json, os
def model_fn(model_dir):
    return None
def input_fn(data, content_type):
    return data
def predict_fn(data, model):
    names = ("GREETING", "SAGEMAKER_MULTI_MODEL", "SAGEMAKER_OURS", "PYTHONWARNINGS")
    return {name: os.environ.get(name) for name in names}
"""
    server = new_server("sklearn", GREETING="hello")
    await server.start(60)
    await server.load("model", "model.tar.gz", kit.sklearn_model(tmp_path / "model", code))
    response = await server.invoke("model", "model.tar.gz", b"[]", {"content-type": "application/json"})
    assert json.loads(response.body) == {
        "GREETING": "hello",
        "SAGEMAKER_MULTI_MODEL": "true",
        "SAGEMAKER_OURS": None,
        "PYTHONWARNINGS": None,
    }


@pytest.mark.parametrize(
    "image",
    ["174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1", "registry/tensorflow-inference@sha256:0123", "my-own"],
)
def test_an_image_that_cannot_be_served_is_refused_with_those_that_can(image: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedImage, match="sagemaker-scikit-learn, sagemaker-tritonserver, sagemaker-xgboost"):
        server_for(ContainerSpec(image=image, multi_model=True), tmp_path)


def test_an_image_is_known_by_its_repository(tmp_path: Path) -> None:
    for image in ("host:5000/team/sagemaker-xgboost:3.2-0", "sagemaker-xgboost@sha256:0123", "sagemaker-xgboost"):
        server = server_for(ContainerSpec(image=image, multi_model=True), tmp_path)
        assert isinstance(server, MultiModelServer)
        assert server.title == "Multi Model Server"


async def test_no_worker_is_left_of_a_model_that_is_gone(kit: type[Kit], new_server: NewServer, tmp_path: Path) -> None:
    server = new_server("xgboost")
    before = {process.pid for process in kit.descendants()}
    await server.start(60)
    idle = len([process for process in kit.descendants() if process.pid not in before])
    await server.load("model", "model.tar.gz", kit.directory("house-price"))
    assert len([process for process in kit.descendants() if process.pid not in before]) > idle
    await server.unload("model")
    with pytest.raises(LoadError):
        await server.load("model", "model.tar.gz", broken_model(kit, "xgboost", tmp_path / "model"))
    kit.wait_until(lambda: len([process for process in kit.descendants() if process.pid not in before]) == idle)
