"""The formats and status codes of the inference handlers, without a server."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost
from sklearn.linear_model import LinearRegression

from mme_local.servers.handlers import sklearn_model, xgboost_model

CSV = {"content-type": "text/csv"}


@pytest.fixture(scope="module")
def models(kit):
    return xgboost_model.load(kit.directory("house-price"))


@pytest.fixture(scope="module")
def expected(kit):
    return kit.sample("house-price")["prediction"]


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
    ],
)
def test_xgboost_reads(models, expected, content_type, body):
    answer, _ = xgboost_model.respond(models, body, {"content-type": content_type})
    assert json.loads(answer) == pytest.approx(expected)


def test_xgboost_reads_an_empty_cell_as_missing(models):
    answer, _ = xgboost_model.respond(models, b"120,,15,3.5", CSV)
    rows = xgboost.DMatrix(np.array([[120, np.nan, 15, 3.5]]))
    assert json.loads(answer) == models[0].predict(rows).tolist()


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
def test_xgboost_answers_in_the_accepted_format(models, expected, monkeypatch, accept, default, content_type):
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
        (b"1,2,3,4", CSV | {"accept": "text/html"}, 415),
        (b"[[1,2,3,4]]", {"content-type": "application/json"}, 415),
        (b"1,2\n3", CSV, 400),
        (b"one,two,three,four", CSV, 400),
        (b"\xff\xfe", CSV, 400),
        (b"0:one", {"content-type": "text/libsvm"}, 400),
        (b"1,2,3,4,5,6", CSV, 400),
    ],
)
def test_xgboost_refuses(models, body, headers, status):
    with pytest.raises(xgboost_model.Refused) as caught:
        xgboost_model.respond(models, body, headers)
    assert caught.value.status == status


def test_xgboost_averages_the_models_of_an_archive(kit, models, tmp_path, monkeypatch):
    (tmp_path / "first").write_bytes((kit.directory("house-price") / "xgboost-model").read_bytes())
    (tmp_path / "second").write_bytes(pickle.dumps(constant_booster()))
    (tmp_path / ".hidden").write_text("no model")
    (tmp_path / "folder").mkdir()
    single = json.loads(xgboost_model.respond(models, b"120,4,15,3.5", CSV)[0])[0]
    both = json.loads(xgboost_model.respond(xgboost_model.load(tmp_path), b"120,4,15,3.5", CSV)[0])[0]
    assert both == pytest.approx((single + 100) / 2, rel=1e-4)
    monkeypatch.setenv("SAGEMAKER_INFERENCE_ENSEMBLE", "false")
    assert len(xgboost_model.load(tmp_path)) == 1


def constant_booster():
    rows = xgboost.DMatrix(np.zeros((4, 4)), np.full(4, 100.0))
    return xgboost.train({"base_score": 100.0, "nthread": 1}, rows, num_boost_round=1)


def test_xgboost_reads_its_binary_format(tmp_path):
    path = tmp_path / "xgboost-model.ubj"
    constant_booster().save_model(path)
    answer, _ = xgboost_model.respond(xgboost_model.load(tmp_path), b"1,2,3,4", CSV)
    assert json.loads(answer) == [100.0]


@pytest.mark.parametrize("files", [{}, {"xgboost-model": "junk"}, {"README.md": "# About"}])
def test_xgboost_does_not_load(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="unable to load model"):
        xgboost_model.load(tmp_path)


def test_xgboost_says_out_of_memory_when_an_allocation_fails(models, monkeypatch):
    def predict(*_args, **_options):
        raise xgboost.core.XGBoostError("std::bad_alloc")

    monkeypatch.setattr(xgboost.Booster, "predict", predict)
    with pytest.raises(MemoryError):
        xgboost_model.respond(models, b"1,2,3,4", CSV)


class Context:
    """What Multi Model Server hands to a handler."""

    def __init__(self, model_dir, **headers):
        self.system_properties = {"model_dir": str(model_dir)}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.request_processor = [SimpleNamespace(get_request_properties=lambda: self.headers)]
        self.status, self.phrase, self.content_type = 200, "", None

    def get_all_request_header(self, _index):
        return self.headers

    def set_response_status(self, code, phrase, idx=0):
        self.status, self.phrase = code, phrase

    def set_response_content_type(self, _index, value):
        self.content_type = value


def test_xgboost_handler_loads_first_and_answers_then(kit, expected):
    context = Context(kit.directory("house-price"), Content_Type="text/csv", Accept="text/csv")
    assert xgboost_model.handle(None, context) is None
    assert xgboost_model.handle([{"body": b"120,4,15,3.5"}], context) == [str(expected[0])]
    assert (context.status, context.content_type) == (200, "text/csv")
    assert xgboost_model.handle([{"body": b"one\ntwo"}], context)[0].startswith("Loading text/csv data failed")
    assert context.status == 400
    assert "\n" not in context.phrase


@pytest.fixture
def regression(tmp_path):
    """A scikit-learn model that doubles, as ``model.joblib``."""
    import joblib

    model = LinearRegression(fit_intercept=False).fit(np.array([[1.0], [2.0]]), np.array([2.0, 4.0]))
    joblib.dump(model, tmp_path / "model.joblib")
    return tmp_path


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", "1,\n3,\n".replace(",", "")),
        ("application/json", "[[1], [3]]"),
        ("application/x-npy", npy(np.array([[1.0], [3.0]]))),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-npy", "text/html, application/json"])
def test_sklearn_reads_and_answers(regression, content_type, body, accept):
    defaults = sklearn_model.Defaults()
    data = defaults.default_input_fn(body, content_type).reshape(-1, 1)
    prediction = defaults.default_predict_fn(data, defaults.default_model_fn(str(regression)))
    answer, answered = defaults.default_output_fn(prediction, accept)
    assert answered in accept
    decoded = {
        "application/json": lambda: json.loads(answer),
        "text/csv": lambda: [float(line) for line in answer.split()],
        "application/x-npy": lambda: np.load(io.BytesIO(answer)).tolist(),
    }[answered]()
    assert decoded == pytest.approx([2, 6])


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("[1, [2", "application/json", 400),
        (b"no array", "application/x-npy", 400),
        (npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "application/x-npy", 400),
        ("1 2", "text/libsvm", 415),
    ],
)
def test_sklearn_refuses_input(body, content_type, status):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the toolkit's base class has no message to match
        sklearn_model.Defaults().default_input_fn(body, content_type)
    assert caught.value.status_code == status


def test_sklearn_refuses_what_nobody_accepts():
    with pytest.raises(Exception) as caught:  # noqa: PT011 - as above
        sklearn_model.Defaults().default_output_fn([1], "text/html")
    assert caught.value.status_code == 406


def test_sklearn_says_out_of_memory():
    class Big:
        def predict(self, data):
            raise MemoryError

    with pytest.raises(Exception) as caught:  # noqa: PT011 - as above
        sklearn_model.Defaults().default_predict_fn([], Big())
    assert caught.value.status_code == 507


def test_sklearn_needs_a_model(tmp_path):
    with pytest.raises(ValueError, match=r"neither an inference.py with a model_fn nor a model.joblib"):
        sklearn_model.Defaults().default_model_fn(str(tmp_path))


USERS = """
def model_fn(model_dir):
    return 10
def predict_fn(data, model):
    return data * model
"""


@pytest.mark.parametrize("folder", [".", "code"])
def test_sklearn_runs_the_users_functions_on_the_server(kit, run, shared_server, tmp_path, folder):
    server = shared_server("sklearn")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "inference.py").write_text(USERS)
    name = f"users-{len(folder)}"
    run(server.load(name, f"{name}.tar.gz", tmp_path))
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    response = run(server.invoke(name, f"{name}.tar.gz", npy(np.arange(3.0)), headers))
    assert (response.status, response.headers["content-type"]) == (200, "application/x-npy")
    assert response.body == npy(np.array([0.0, 10.0, 20.0]))
    largest = npy(np.arange(6 * 1024**2 // 8 - 16, dtype="<f8"))
    response = run(server.invoke(name, f"{name}.tar.gz", largest, headers))
    assert response.status == 200
    assert response.body == npy(np.arange(6 * 1024**2 // 8 - 16, dtype="<f8") * 10)
    response = run(server.invoke(name, f"{name}.tar.gz", b"a,b", {"content-type": "text/html"}))
    assert response.status == 415
    response = run(server.invoke(name, f"{name}.tar.gz", b"[1]", {"content-type": "application/json", "accept": "x/y"}))
    assert response.status == 406


def test_handlers_import_little(kit):
    """A worker process starts for every model: what it imports is what a cold start costs."""
    code = "import sys, mme_local.servers.handlers; print(' '.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "asyncio", "boto3", "structlog"} & set(modules)
