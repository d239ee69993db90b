"""Code that a container brings for all its models, and how long a body it takes: as AWS's images do it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme_local.servers.base import LoadError, ServerError
from mme_local.servers.choice import server_for

ECHO = """
def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    return str(len(data))
"""
MIB = 1024**2


@pytest.mark.parametrize(("most", "limit"), [(None, 6 * MIB), (100 * MIB, 20 * MIB), (7 * MIB, 7 * MIB)])
def test_multi_model_server_takes_bodies_as_long_as_the_image_does(kit, run, new_server, tmp_path, most, limit):
    server = new_server("sklearn", **({} if most is None else {"MAX_CONTENT_LENGTH": str(most)}))
    run(server.start(60))
    run(server.load("model", "model.tar.gz", kit.sklearn_model(tmp_path / "model", ECHO)))
    headers = {"content-type": "application/octet-stream"}
    response = run(server.invoke("model", "model.tar.gz", bytes(limit), headers))
    assert (response.status, response.body) == (200, str(limit).encode())
    response = run(server.invoke("model", "model.tar.gz", bytes(limit + 1), headers))
    assert response.status == 413
    response = run(server.invoke("model", "model.tar.gz", b"12", headers))
    assert (response.status, response.body) == (200, b"2")


def code(tmp_path, text):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "serve.py").write_text(text)
    (tmp_path / "code" / "helper.py").write_text("ANSWER = 'helped'")
    return {"SAGEMAKER_PROGRAM": "serve.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(tmp_path / "code")}


@pytest.mark.parametrize("kind", ["sklearn", "xgboost"])
def test_each_model_runs_it(run, new_server, tmp_path, kind):
    program = "import helper\n" + ECHO.replace("str(len(data))", "helper.ANSWER")
    server = new_server(kind, **code(tmp_path, program))
    run(server.start(60))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(server.load(name, f"{name}.tar.gz", tmp_path / name))
        assert run(server.invoke(name, f"{name}.tar.gz", b"1", {"content-type": "text/csv"})).body == b"helped"


def test_a_model_is_not_loaded_by_itself(run, new_server, tmp_path):
    server = new_server("sklearn", **code(tmp_path, ""))
    run(server.start(60))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.joblib").write_bytes(b"")
    with pytest.raises(LoadError):
        run(server.load("model", "model.tar.gz", tmp_path / "model"))
    assert "the program must have a model_fn" in server.log.read_text()


@pytest.mark.parametrize("kind", ["sklearn", "xgboost"])
def test_a_server_whose_program_does_not_import_does_not_start(run, new_server, tmp_path, kind):
    server = new_server(kind, **code(tmp_path, "import not_installed"))
    with pytest.raises(ServerError, match="No module named 'not_installed'"):
        run(server.start(60))


def test_scikit_learn_does_not_start_without_one(run, new_server):
    with pytest.raises(ServerError, match="set SAGEMAKER_PROGRAM and SAGEMAKER_SUBMIT_DIRECTORY"):
        run(new_server("sklearn", SAGEMAKER_PROGRAM="").start(60))


def test_a_folder_of_the_image_must_be_on_this_machine(run, new_server):
    server = new_server("sklearn", SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code")
    with pytest.raises(ServerError, match="'/opt/ml/model/code' is no folder on this machine"):
        run(server.start(60))


def test_the_one_model_of_a_container_may_bring_it(kit, run, tmp_path):
    container = replace(kit.container("sklearn", SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code"), multi_model=False)
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(ECHO)
    server = server_for(container, tmp_path / "server")
    try:
        run(server.start(60))
        run(server.load("model", "model.tar.gz", tmp_path / "model"))
        assert run(server.invoke("model", "model.tar.gz", b"123", {})).body == b"3"
    finally:
        run(server.stop())
