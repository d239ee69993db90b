"""What only Triton has: its binary protocol, the serve script's options, its network, its threads."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mme_local.servers import contract
from mme_local.servers.base import ContainerServer, LoadError, ServerError, UnsupportedImage
from mme_local.servers.choice import server_for
from mme_local.servers.process import Launch, LaunchRefused, ServerProcess
from mme_local.servers.triton import serve_options

from .conftest import Kit, NewServer, SharedServer

BINARY = "application/vnd.sagemaker-triton.binary+json;json-header-size="
ECHO = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.get_input_tensor_by_name(each, "X")]) for each in requests]
"""


@pytest.fixture(scope="module")
async def echo(
    kit: type[Kit], shared_server: SharedServer, tmp_path_factory: pytest.TempPathFactory
) -> ContainerServer:
    server = await shared_server("triton")
    await server.load("echo", "echo.tar.gz", kit.triton_model(tmp_path_factory.mktemp("echo") / "model", ECHO))
    return server


@pytest.mark.parametrize("size", [1, 1000, 1_500_000])
async def test_binary_tensors_pass_unchanged_both_ways(echo: ContainerServer, size: int) -> None:
    values = np.random.default_rng(0).normal(size=size).astype("<f4")
    tensor = {"name": "X", "shape": [size], "datatype": "FP32", "parameters": {"binary_data_size": values.nbytes}}
    output = {"name": "X", "parameters": {"binary_data": True}}
    header = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    content_type = f"{BINARY}{len(header)}"
    response = await echo.invoke("echo", "echo.tar.gz", header + values.tobytes(), {"Content-Type": content_type})
    assert response.status == 200, response.body[:500]
    assert response.headers["Content-Type"].startswith(BINARY)
    answered = int(response.headers["Content-Type"].removeprefix(BINARY))
    assert json.loads(response.body[:answered])["model_name"] == "echo.tar.gz"
    assert response.body[answered:] == values.tobytes()


async def test_answers_400_to_a_request_that_is_none(echo: ContainerServer) -> None:
    response = await echo.invoke("echo", "echo.tar.gz", b"not JSON", {"Content-Type": "application/json"})
    assert response.status == 400
    assert "error" in json.loads(response.body)


async def test_takes_an_archive_with_the_models_folder_inside(
    kit: type[Kit], shared_server: SharedServer, tmp_path: Path
) -> None:
    shutil.copytree(kit.directory("iris"), tmp_path / "archive" / "iris")
    server = await shared_server("triton")
    await server.load("inside", "inside.tar.gz", tmp_path / "archive")
    assert (await kit.invoke(server, "inside", "iris")).status == 200


async def test_refuses_a_name_that_would_reach_a_shell(kit: type[Kit], shared_server: SharedServer) -> None:
    for target in ("a b.tar.gz", "a;id.tar.gz", "$(id)", "`id`", "(1)", "it's"):
        with pytest.raises(LoadError, match="shell") as caught:
            await (await shared_server("triton")).load("name", target, kit.directory("iris"))
        assert caught.value.status == 400


async def test_a_load_or_unload_does_not_hold_up_invocations(kit: type[Kit], shared_server: SharedServer) -> None:
    server = await shared_server("triton")

    async def answered_while(action: Coroutine[Any, Any, None]) -> int:
        task, answered = asyncio.create_task(action), 0
        while not task.done():
            assert (await kit.invoke(server, "warm", "iris")).status == 200
            answered += not task.done()
        await task
        return answered

    await server.load("warm", "warm.tar.gz", kit.directory("iris"))
    # either takes more than a second, through which one that is held up would wait
    assert await answered_while(server.load("other", "other.tar.gz", kit.directory("language"))) > 2
    assert await answered_while(server.unload("other")) > 2


async def test_without_a_network_namespace_listens_on_a_unix_socket_only(
    kit: type[Kit], new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    monkeypatch.setenv("MME_LOCAL_TRITON_NETWORK", "shared")
    ports = {"SAGEMAKER_TRITON_ALLOW_GRPC": "true", "SAGEMAKER_TRITON_ALLOW_METRICS": "true"}
    server = new_server("triton", **ports, SAGEMAKER_TRITON_ADDITIONAL_ARGS="--allow-http=true")
    before = {process.pid for process in kit.descendants()}
    await server.start(60)
    assert kit.listening([process for process in kit.descendants() if process.pid not in before]) == []
    (socket,) = kit.sockets(before)
    assert socket.parent.stat().st_mode & 0o077 == 0
    await server.load("iris", "iris.tar.gz", kit.directory("iris"))
    assert (await kit.invoke(server, "iris", "iris")).status == 200


async def test_falls_back_to_a_unix_socket_where_namespaces_are_refused(
    kit: type[Kit], new_server: NewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(launch: Launch, log: Path) -> ServerProcess:
        if launch.socket is None:
            shutil.rmtree(launch.directory)
            raise LaunchRefused("unshare: Operation not permitted")
        return ServerProcess(launch, log)

    monkeypatch.setattr(contract, "ServerProcess", refuse)
    server = new_server("triton")
    await server.start(60)
    assert await server.ping() is True
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerError, match=r"C compiler is installed \(without .* refused: unshare: Operation not"):
        await new_server("triton").start(60)


async def test_without_any_way_to_shut_triton_in_it_does_not_start(
    new_server: NewServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MME_LOCAL_TRITON_NETWORK", "shared")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="user namespaces"):
        await new_server("triton").start(60)


def test_another_machine_is_told_where_triton_runs(
    kit: type[Kit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UnsupportedImage, match="Linux x86_64 only, this is darwin arm64"):
        server_for(kit.container("triton"), tmp_path)


def test_options_are_the_serve_scripts_by_default() -> None:
    assert serve_options({}) == [
        "--model-namespacing=true",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--backend-config=python,shm-default-byte-size=16777216",
        "--backend-config=python,shm-growth-byte-size=1048576",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [
        ("THREAD_COUNT", "4", "--sagemaker-thread-count=4"),
        ("BUFFER_MANAGER_THREAD_COUNT", "2", "--buffer-manager-thread-count=2"),
        ("LOG_VERBOSE", "true", "--log-verbose=true"),
        ("LOG_INFO", "false", "--log-info=false"),
        ("SHM_DEFAULT_BYTE_SIZE", "1024", "--backend-config=python,shm-default-byte-size=1024"),
        ("DISABLE_MODEL_NAMESPACING", "false", "--model-namespacing=false"),
        ("ADDITIONAL_ARGS", "--exit-timeout-secs=1 --strict-readiness=false", "--strict-readiness=false"),
    ],
)
def test_options_follow_the_containers_environment(variable: str, value: str, option: str) -> None:
    assert option in serve_options({f"SAGEMAKER_TRITON_{variable}": value})


def test_an_inference_type_that_the_script_rejects_is_rejected() -> None:
    assert serve_options({"SAGEMAKER_TRITON_INFERENCE_TYPE": "generate"})
    with pytest.raises(ServerError, match="must be one of infer, generate, generate_stream, got 'stream'"):
        serve_options({"SAGEMAKER_TRITON_INFERENCE_TYPE": "stream"})
