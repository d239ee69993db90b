"""The formats and status codes of the inference handlers, without a server."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from sagemaker_inference.errors import (  # type: ignore[import-untyped]  # no py.typed
    BaseInferenceToolkitError,
    UnsupportedFormatError,
)
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]  # no py.typed

from mme_local.servers.handlers import sklearn_model, xgboost_model, xgboost_script
from mme_local.servers.handlers.frame import framed

from .conftest import Kit, SharedServer

CSV = {"content-type": "text/csv"}


@pytest.fixture(scope="module")
def models(kit: type[Kit]) -> list[xgboost_model.LoadedBooster]:
    return xgboost_model.load(kit.directory("house-price"))


@pytest.fixture(scope="module")
def expected(kit: type[Kit]) -> list[float]:
    expected: list[float] = kit.sample("house-price")["prediction"]
    return expected


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", b"120,4,15,3.5\n55,2,60,12\n"),
        ("text/csv; charset=utf-8", b"120, 4, 15, 3.5\n55, 2, 60, 12"),
        ("Text/CSV", b"120;4;15;3.5\n55;2;60;12"),
        ("csv", b"120 4 15 3.5\n55 2 60 12"),
        ("", b"120,4,15,3.5\n55,2,60,12"),
        ("text/libsvm", b"0:120 1:4 2:15 3:3.5\n0:55 1:2 2:60 3:12"),
        ("text/x-libsvm", b"1 0:120 1:4 2:15 3:3.5\n0 0:55 1:2 2:60 3:12"),
        ("text/libsvm", b"1:120 2:4 3:15 4:3.5\n1:55 2:2 3:60 4:12"),
    ],
)
def test_xgboost_reads(
    models: list[xgboost_model.LoadedBooster], expected: list[float], content_type: str, body: bytes
) -> None:
    answer, _ = xgboost_model.respond(models, body, {"content-type": content_type})
    assert json.loads(answer) == pytest.approx(expected)


def test_xgboost_reads_an_empty_cell_as_missing(models: list[xgboost_model.LoadedBooster]) -> None:
    answer, _ = xgboost_model.respond(models, b"120,,15,3.5", CSV)
    rows = xgboost.DMatrix(np.array([[120, np.nan, 15, 3.5]]))
    assert json.loads(answer) == models[0].booster.predict(rows).tolist()


@pytest.mark.parametrize(
    ("accept", "default", "content_type"),
    [
        (None, None, "application/json"),
        ("*/*", None, "application/json"),
        ("*/*", "text/csv", "text/csv"),
        ("application/json", "text/csv", "application/json"),
        ("Application/JSON", None, "Application/JSON"),
        ("text/csv", None, "text/csv"),
    ],
)
def test_xgboost_answers_in_the_accepted_format(
    models: list[xgboost_model.LoadedBooster],
    expected: list[float],
    monkeypatch: pytest.MonkeyPatch,
    accept: str | None,
    default: str | None,
    content_type: str,
) -> None:
    if default:
        monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", default)
    headers = CSV | ({"accept": accept} if accept else {})
    answer, answered = xgboost_model.respond(models, b"120,4,15,3.5\n55,2,60,12", headers)
    assert answered == content_type
    assert answer == (",".join(map(str, expected)) if "csv" in content_type else json.dumps(expected))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", CSV, 204),
        (b"1,2\n3", CSV, 400),
        (b"one,two,three,four", CSV, 400),
        (b"\xff\xfe", CSV, 400),
        (b"0:one", {"content-type": "text/libsvm"}, 400),
        (b"1,2,3,4,5,6", CSV, 400),
        ("1,2,😀,4".encode(), CSV, 400),
        ("1,2,é,4".encode(), CSV, 400),
    ],
)
def test_xgboost_refuses(
    models: list[xgboost_model.LoadedBooster], body: bytes, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(xgboost_model.Refused) as caught:
        xgboost_model.respond(models, body, headers)
    assert caught.value.status == status


def test_xgboost_averages_the_models_of_an_archive(
    kit: type[Kit], models: list[xgboost_model.LoadedBooster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").write_bytes((kit.directory("house-price") / "xgboost-model").read_bytes())
    (tmp_path / "second").write_bytes(pickle.dumps(constant_booster()))
    (tmp_path / ".hidden").write_text("no model")
    (tmp_path / "folder").mkdir()
    single = json.loads(xgboost_model.respond(models, b"120,4,15,3.5", CSV)[0])[0]
    both = json.loads(xgboost_model.respond(xgboost_model.load(tmp_path), b"120,4,15,3.5", CSV)[0])[0]
    assert both == pytest.approx((single + 100) / 2, rel=1e-4)
    monkeypatch.setenv("SAGEMAKER_INFERENCE_ENSEMBLE", "false")
    assert len(xgboost_model.load(tmp_path)) == 1


def constant_booster() -> xgboost.Booster:
    rows = xgboost.DMatrix(np.zeros((4, 4)), np.full(4, 100.0))
    return xgboost.train({"base_score": 100.0, "nthread": 1}, rows, num_boost_round=1)


def test_xgboost_reads_its_binary_format(tmp_path: Path) -> None:
    path = tmp_path / "xgboost-model.ubj"
    constant_booster().save_model(path)
    answer, _ = xgboost_model.respond(xgboost_model.load(tmp_path), b"1,2,3,4", CSV)
    assert json.loads(answer) == [100.0]


@pytest.mark.parametrize("files", [{}, {"xgboost-model": "junk"}, {"README.md": "# About"}])
def test_xgboost_does_not_load(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="unable to load model"):
        xgboost_model.load(tmp_path)


def test_xgboost_says_out_of_memory_when_an_allocation_fails(
    models: list[xgboost_model.LoadedBooster], monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(*_args: object, **_options: object) -> None:
        raise xgboost.core.XGBoostError("std::bad_alloc")

    monkeypatch.setattr(xgboost.Booster, "predict", predict)
    with pytest.raises(MemoryError):
        xgboost_model.respond(models, b"1,2,3,4", CSV)


class Context:
    """What Multi Model Server hands to a handler."""

    def __init__(self, model_dir: Path, **headers: str) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.request_processor = [SimpleNamespace(get_request_properties=lambda: self.headers)]
        self.status = 200
        self.phrase: str | None = None
        self.response_headers: dict[str, str] = {}

    def get_all_request_header(self, _index: int) -> dict[str, str]:
        return self.headers

    def set_response_status(self, code: int, phrase: str = "", idx: int = 0) -> None:
        self.status, self.phrase = code, phrase

    def get_response_status(self, _index: int) -> tuple[int, str | None]:
        return self.status, self.phrase

    def set_response_content_type(self, index: int, value: str) -> None:
        self.set_response_header(index, "content-type", value)

    def set_response_header(self, _index: int, name: str, value: str) -> None:
        self.response_headers[name] = value

    def get_response_headers(self, _index: int) -> dict[str, str]:
        return self.response_headers


def test_xgboost_handler_loads_first_and_answers_then(kit: type[Kit], expected: list[float]) -> None:
    context = Context(kit.directory("house-price"), Content_Type="text/csv", Accept="text/csv")
    assert xgboost_model.handle(None, context) is None
    assert xgboost_model.handle([{"body": b"120,4,15,3.5"}], context) == [str(expected[0])]
    assert (context.status, context.response_headers["content-type"]) == (200, "text/csv")
    assert xgboost_model.handle([{"body": b"one\ntwo"}], context)[0].startswith("Loading text/csv data failed")
    assert (context.status, context.phrase) == (400, "")


def test_status_and_headers_are_ascii_whatever_a_handler_says(tmp_path: Path) -> None:
    @framed
    def handle(_data: Any, context: Any) -> list[str]:
        context.set_response_status(418, "a 😀 or é\r\nX-Other: 1")
        context.set_response_content_type(0, "text/plain; title=é")
        return ["é"]

    context = Context(tmp_path)
    assert handle([{}], context) == ["é"]
    assert (context.status, context.phrase) == (418, "a ? or ???X-Other: 1")
    assert context.response_headers == {"content-type": "text/plain; title=?"}


@pytest.mark.parametrize("headers", [{"accept": "text/html"}, {"content-type": "application/json"}])
def test_xgboost_fails_on_types_that_it_does_not_know(
    models: list[xgboost_model.LoadedBooster], headers: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="is not an accepted"):
        xgboost_model.respond(models, b"1,2,3,4", CSV | headers)


@pytest.mark.parametrize(
    ("body", "content_type", "fits"),
    [
        (b"1,2,3,4", "text/csv", True),
        (b"1,2,3", "text/csv", True),
        (b"1,2", "text/csv", False),
        (b"1,2,3,4,5", "text/csv", False),
        (b"0:1 1:2", "text/libsvm", True),
    ],
)
def test_xgboost_counts_the_columns_for_a_pickled_booster(
    tmp_path: Path, body: bytes, content_type: str, fits: bool
) -> None:
    (tmp_path / "pickled").write_bytes(pickle.dumps(constant_booster()))
    headers = {"content-type": content_type}
    if fits:
        assert json.loads(xgboost_model.respond(xgboost_model.load(tmp_path), body, headers)[0]) == [100.0]
        return
    with pytest.raises(xgboost_model.Refused, match="is not consistent with feature size of trained model 4") as caught:
        xgboost_model.respond(xgboost_model.load(tmp_path), body, headers)
    assert caught.value.status == 400


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


DOUBLE = LinearRegression(fit_intercept=False).fit(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2.0, 20.0]))


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/csv", "1,2\n3,4\n", [42, 86]),
        ("application/json", "[[1, 2], [3, 4]]", [42, 86]),
        ("application/x-npy", npy(np.array([[1.0, 2.0], [3.0, 4.0]])), [42, 86]),
        ("text/csv", "1,2", [42]),
        ("application/json", "[1, 2]", [42]),
        ("application/x-npy", npy(np.array([1.0, 2.0])), [42]),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-npy"])
def test_sklearn_reads_and_answers_also_a_single_row(
    content_type: str, body: Any, expected: list[float], accept: str
) -> None:
    defaults = sklearn_model.Defaults()
    data = defaults.default_input_fn(body, content_type)
    prediction = defaults.default_predict_fn(data, DOUBLE)
    answer, answered = defaults.default_output_fn(prediction, accept)
    assert answered == accept
    decoded: dict[str, Callable[[], list[float]]] = {
        "application/json": lambda: json.loads(answer),
        "text/csv": lambda: [float(line) for line in answer.split()],
        "application/x-npy": lambda: np.load(io.BytesIO(answer)).tolist(),
    }
    assert decoded[answered]() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("[1, [2", "application/json"),
        ('[1, 2, "😀", 4]', "application/json"),
        (b"no array", "application/x-npy"),
        (npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "application/x-npy"),
    ],
)
def test_sklearn_refuses_what_does_not_decode(body: Any, content_type: str) -> None:
    with pytest.raises(BaseInferenceToolkitError) as caught:
        sklearn_model.Defaults().default_input_fn(body, content_type)
    assert caught.value.status_code == 400


def test_sklearn_fails_on_types_that_it_does_not_know() -> None:
    with pytest.raises(UnsupportedFormatError):
        sklearn_model.Defaults().default_input_fn("1 2", "text/libsvm")
    with pytest.raises(UnsupportedFormatError):
        sklearn_model.Defaults().default_output_fn([1], "text/html")


@pytest.mark.parametrize("defaults", [sklearn_model.Defaults(), xgboost_script.Defaults()])
def test_a_program_must_have_a_model_fn(defaults: Any, tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="must have a model_fn"):
        defaults.default_model_fn(str(tmp_path))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", "120,4,15,3.5"),
        ("text/libsvm", b"1:120 2:4 3:15 4:3.5"),
        ("text/x-libsvm; charset=utf-8", b"0:120 1:4 2:15 3:3.5"),
    ],
)
def test_xgboost_with_a_program_has_defaults_for_all_else(
    models: list[xgboost_model.LoadedBooster], expected: list[float], content_type: str, body: Any
) -> None:
    defaults = xgboost_script.Defaults()
    prediction = defaults.default_predict_fn(defaults.default_input_fn(body, content_type), models[0].booster)
    assert json.loads(defaults.default_output_fn(prediction, "application/json")) == pytest.approx(expected[:1])
    with pytest.raises(ValueError, match="not supported"):
        defaults.default_input_fn(body, "text/html")


USERS = """
def model_fn(model_dir):
    return 10
def predict_fn(data, model):
    return data * model
"""


async def test_sklearn_runs_the_users_functions_on_the_server(
    kit: type[Kit], shared_server: SharedServer, tmp_path: Path
) -> None:
    server = await shared_server("sklearn")
    (tmp_path / "inference.py").write_text(USERS)
    name = "users"
    await server.load(name, f"{name}.tar.gz", tmp_path)
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    response = await server.invoke(name, f"{name}.tar.gz", npy(np.arange(3.0)), headers)
    assert (response.status, response.headers["content-type"]) == (200, "application/x-npy")
    assert response.body == npy(np.array([[0.0, 10.0, 20.0]]))
    response = await server.invoke(name, f"{name}.tar.gz", b"a,b", {"content-type": "text/html"})
    assert response.status == 503
    response = await server.invoke(
        name, f"{name}.tar.gz", b"[1]", {"content-type": "application/json", "accept": "x/y"}
    )
    assert response.status == 503


RAISING = """
from sagemaker_inference.errors import GenericInferenceToolkitError

def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    return data

def predict_fn(data, model):
    if data != "good":
        raise GenericInferenceToolkitError(422, f"cannot read {data}") if data[0] == "t" else ValueError(data)
    return data

def output_fn(prediction, accept):
    return prediction
"""


@pytest.mark.parametrize(
    ("kind", "body", "status", "good"),
    [
        ("xgboost", "1,2,😀,4", 400, b"120,4,15,3.5"),
        ("xgboost", "1,2,é,4", 400, b"120,4,15,3.5"),
        ("sklearn", "toolkit's 😀 é", 422, b"good"),
        ("sklearn", "😀 é", 503, b"good"),
    ],
)
async def test_the_next_call_works_after_a_cell_that_is_not_ascii(
    kit: type[Kit], shared_server: SharedServer, tmp_path: Path, kind: str, body: str, status: int, good: bytes
) -> None:
    server = await shared_server(kind)
    model = kit.directory("house-price") if kind == "xgboost" else kit.sklearn_model(tmp_path / "model", RAISING)
    name = f"cells-{kind}-{len(body)}"
    await server.load(name, f"{name}.tar.gz", model)
    assert (await server.invoke(name, f"{name}.tar.gz", body.encode(), CSV)).status == status
    assert (await server.invoke(name, f"{name}.tar.gz", good, CSV)).status == 200
    await server.unload(name)


def test_handlers_import_little(kit: type[Kit]) -> None:
    """A worker process starts for every model: what it imports is what a cold start costs."""
    code = "import sys, mme_local.servers.handlers; print(' '.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "asyncio", "boto3", "structlog"} & set(modules)
