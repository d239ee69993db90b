"""Code that a container brings for all its models, and how long a body it takes: as AWS's images do it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mme_local.servers.base import LoadError, ServerError
from mme_local.servers.choice import server_for
from mme_local.servers.contract import HttpModelServer

from .conftest import Kit, NewServer

ECHO = """
def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    return str(len(data))
"""
MIB = 1024**2


@pytest.mark.parametrize(("most", "limit"), [(None, 6 * MIB), (100 * MIB, 20 * MIB), (7 * MIB, 7 * MIB)])
async def test_multi_model_server_takes_bodies_as_long_as_the_image_does(
    kit: type[Kit], new_server: NewServer, tmp_path: Path, most: int | None, limit: int
) -> None:
    server = new_server("sklearn", **({} if most is None else {"MAX_CONTENT_LENGTH": str(most)}))
    await server.start(60)
    await server.load("model", "model.tar.gz", kit.sklearn_model(tmp_path / "model", ECHO))
    headers = {"content-type": "application/octet-stream"}
    response = await server.invoke("model", "model.tar.gz", bytes(limit), headers)
    assert (response.status, response.body) == (200, str(limit).encode())
    response = await server.invoke("model", "model.tar.gz", bytes(limit + 1), headers)
    assert response.status == 413
    response = await server.invoke("model", "model.tar.gz", b"12", headers)
    assert (response.status, response.body) == (200, b"2")


def code(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "serve.py").write_text(text)
    (tmp_path / "code" / "helper.py").write_text("ANSWER = 'helped'")
    return {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(tmp_path / "code")}


@pytest.mark.parametrize("kind", ["sklearn", "xgboost"])
async def test_each_model_runs_it(new_server: NewServer, tmp_path: Path, kind: str) -> None:
    program = "import helper\n" + ECHO.replace("str(len(data))", "helper.ANSWER")
    server = new_server(kind, **code(tmp_path, program))
    await server.start(60)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        await server.load(name, f"{name}.tar.gz", tmp_path / name)
        assert (await server.invoke(name, f"{name}.tar.gz", b"1", {"content-type": "text/csv"})).body == b"helped"


async def test_a_model_is_not_loaded_by_itself(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server("sklearn", **code(tmp_path, ""))
    assert isinstance(server, HttpModelServer)
    await server.start(60)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.joblib").write_bytes(b"")
    with pytest.raises(LoadError):
        await server.load("model", "model.tar.gz", tmp_path / "model")
    assert "the program must have a model_fn" in server.log.read_text()


@pytest.mark.parametrize("kind", ["sklearn", "xgboost"])
async def test_a_server_whose_program_does_not_import_does_not_start(
    new_server: NewServer, tmp_path: Path, kind: str
) -> None:
    server = new_server(kind, **code(tmp_path, "import not_installed"))
    with pytest.raises(ServerError, match="No module named 'not_installed'"):
        await server.start(60)


async def test_scikit_learn_does_not_start_without_one(new_server: NewServer) -> None:
    with pytest.raises(ServerError, match="set SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY"):
        await new_server("sklearn", SAGEMAKER_PROGRAM="").start(60)


async def test_a_folder_of_the_image_must_be_on_this_machine(new_server: NewServer) -> None:
    server = new_server("sklearn", SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code")
    with pytest.raises(ServerError, match="'/opt/ml/model/code' is no folder on this machine"):
        await server.start(60)


async def test_the_one_model_of_a_container_may_bring_it(kit: type[Kit], tmp_path: Path) -> None:
    container = replace(kit.container("sklearn", SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code"), multi_model=False)
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(ECHO)
    server = server_for(container, tmp_path / "server")
    try:
        await server.start(60)
        await server.load("model", "model.tar.gz", tmp_path / "model")
        assert (await server.invoke("model", "model.tar.gz", b"123", {})).body == b"3"
    finally:
        await server.stop()
