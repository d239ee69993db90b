"""What AWS's PyTorch container makes of a model, a request and an answer, without a server."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sagemaker_inference.errors import UnsupportedFormatError  # type: ignore[import-untyped]

torch = pytest.importorskip("torch", reason="the extra [local-pytorch] is not installed")
pytorch_model: Any = pytest.importorskip("mme_local.servers.handlers.pytorch_model")

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # AWS's images load nothing else


@pytest.fixture
def defaults() -> Any:
    return pytorch_model.Defaults()


def save(path: Path, factor: float = 2.0) -> None:
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight = torch.nn.Parameter(torch.tensor([[factor, 1.0]]))
    torch.jit.script(layer).save(path)


@pytest.mark.parametrize("name", ["model.pt", "other.pth"])
def test_torchscript_is_loaded_by_itself(defaults: Any, tmp_path: Path, name: str) -> None:
    save(tmp_path / name)
    model = defaults.default_model_fn(str(tmp_path))
    data = defaults.default_input_fn("[[3, 1], [0, 5]]", "application/json")
    assert defaults.default_predict_fn(data, model).tolist() == [[7.0], [5.0]]


def test_model_pt_comes_before_others(defaults: Any, tmp_path: Path) -> None:
    save(tmp_path / "model.pt")
    (tmp_path / "another.pt").write_bytes(b"")
    assert defaults.default_model_fn(str(tmp_path)) is not None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "Exactly one .pth or .pt file is required for PyTorch models: \\[\\]"),
        (["a.pt", "b.pth"], "a.pt.*b.pth"),
        (["model.pt"], "Please ensure model is saved using torchscript"),
        (["MAR-INF/MANIFEST.json"], "an archive of TorchServe's, whose handler is not run here"),
    ],
)
def test_what_is_no_torchscript_is_refused(defaults: Any, tmp_path: Path, files: list[str], message: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"no model")
    with pytest.raises(ValueError, match=message):
        defaults.default_model_fn(str(tmp_path))


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("application/json", "[[1, 2]]", torch.float32),
        ("text/csv", "1,2\n3,4", torch.float32),
        ("application/x-npy", npy(np.ones((1, 2), np.int64)), torch.int64),
    ],
)
def test_a_request_becomes_a_tensor(defaults: Any, content_type: str, body: str | bytes, kind: Any) -> None:
    assert defaults.default_input_fn(body, content_type).dtype == kind


def test_what_a_caller_sends_is_not_unpickled(defaults: Any) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        defaults.default_input_fn(npy(np.array([{}], dtype=object)), "application/x-npy")


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("application/json", "[[1.0, 2.0]]"),
        ("text/csv", b"1.0,2.0\n"),
        ("text/html, application/json", "[[1.0, 2.0]]"),
    ],
)
def test_a_tensor_becomes_what_the_caller_accepts(defaults: Any, accept: str, answer: str | bytes) -> None:
    assert defaults.default_output_fn(torch.tensor([[1.0, 2.0]]), accept) == answer


def test_nothing_else_is_answered(defaults: Any) -> None:
    with pytest.raises(UnsupportedFormatError):
        defaults.default_output_fn(torch.tensor([1.0]), "image/png")
