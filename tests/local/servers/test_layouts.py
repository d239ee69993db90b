"""The layout checks agree with the real Triton: it loads what they accept or warn of, and refuses what they refuse."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from mme_local.servers.base import LoadError
from multi_model_endpoint.artifacts import ModelServer, check_layout, packed

from .conftest import SharedServer

CODE = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.get_input_tensor_by_name(each, "X")]) for each in requests]
"""
TENSORS = """
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""
MODEL = f'backend: "python" {TENSORS} instance_group [ {{ kind: KIND_CPU }} ]'
ENSEMBLE = f"""
platform: "ensemble" {TENSORS}
ensemble_scheduling {{ step {{
  model_name: "echo" model_version: -1
  input_map {{ key: "X" value: "X" }} output_map {{ key: "X" value: "X" }}
}} }}
"""
ECHO = {"echo/config.pbtxt": MODEL, "echo/1/model.py": CODE}


@pytest.mark.parametrize(
    ("files", "loads"),
    [
        ({"config.pbtxt": f'name: "anything" {MODEL}', "1/model.py": CODE}, True),
        ({"iris/config.pbtxt": f'name: "other" {MODEL}', "iris/1/model.py": CODE}, True),
        ({"all/config.pbtxt": ENSEMBLE, "all/1/": "", **ECHO}, True),
        ({"config.pbtxt": f"{MODEL} max_batch_size: '8'", "1/model.py": CODE}, False),
        ({"config.pbtxt": f"{MODEL} }}", "1/model.py": CODE}, False),
        ({"config.pbtxt": MODEL, "v1/model.py": CODE}, False),
        ({"config.pbtxt": MODEL, "01/model.py": CODE}, False),
        # A Python model without its model.py is not here: Triton never answers the load
        ({"config.pbtxt": f"{MODEL} version_policy {{ specific {{ versions: 3 }} }}", "1/model.py": CODE}, False),
        ({"all/config.pbtxt": ENSEMBLE, **ECHO}, False),
        ({"all/config.pbtxt": ENSEMBLE, "all/1/": ""}, False),
        ({"all/config.pbtxt": ENSEMBLE, "all/1/": "", **ECHO, "echo/config.pbtxt": f'name: "x" {MODEL}'}, False),
    ],
)
async def test_triton_loads_what_the_check_accepts(
    shared_server: SharedServer, tmp_path: Path, request: pytest.FixtureRequest, files: dict[str, str], loads: bool
) -> None:
    for name, text in files.items():
        path = tmp_path / "model" / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text(text)
    with packed(tmp_path / "model") as artifact, tarfile.open(artifact.path) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert (check_layout(artifact.contents, ModelServer("sagemaker-tritonserver")).problems == []) is loads
    name = f"layout{abs(hash(request.node.name))}"
    server = await shared_server("triton")
    if not loads:
        with pytest.raises(LoadError):
            await server.load(name, f"{name}.tar.gz", tmp_path / "unpacked")
        return
    await server.load(name, f"{name}.tar.gz", tmp_path / "unpacked")
    await server.unload(name)
