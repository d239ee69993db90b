"""The server keeps SageMaker's contract, by AWS's page on it.

https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., tuple[int, Any]]

HERE = Path(__file__).parent


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Call the server, which has room for two models."""
    monkeypatch.setenv("MOST_MODELS", "2")
    program = HERE / "container" / "server.py"
    spec = importlib.util.spec_from_file_location("own_container_server", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # what lies there goes into the image's hash
    spec.loader.exec_module(module)
    with ThreadingHTTPServer(("127.0.0.1", 0), module.Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            url = f"http://127.0.0.1:{server.server_address[1]}{path}"
            request = urllib.request.Request(url, data if method == "POST" else None, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        yield call
        server.shutdown()


@pytest.fixture
def load(call: Call) -> Callable[..., int]:
    """Load one of the example's models under a name."""
    models = HERE / "models"
    return lambda name, model="lisbon": call("POST", "/models", {"model_name": name, "url": str(models / model)})[0]


def test_a_model_is_loaded_described_called_and_unloaded(call: Call, load: Callable[..., int]) -> None:
    assert call("GET", "/ping")[0] == 200
    assert load("a") == 200
    _, found = call("GET", "/models/a")
    assert found["modelName"] == "a"
    assert Path(found["modelUrl"]).name == "lisbon"
    assert call("GET", "/models?next_page_token=1") == (200, {"models": [found]})
    assert call("POST", "/models/a/invoke", b"80,3") == (200, {"price": 388000, "currency": "EUR"})
    assert call("DELETE", "/models/a")[0] == 200
    assert call("GET", "/models") == (200, {"models": []})


def test_a_loaded_model_is_not_loaded_again(load: Callable[..., int]) -> None:
    assert [load("a"), load("a"), load("a", "porto")] == [200, 409, 409]


def test_what_is_full_says_so_until_a_model_is_unloaded(call: Call, load: Callable[..., int]) -> None:
    assert [load(name) for name in "abc"] == [200, 200, 507]
    call("DELETE", "/models/a")
    assert load("c") == 200


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/invoke")])
def test_an_unknown_model_is_not_found(call: Call, method: str, path: str) -> None:
    assert call(method, f"/models/unknown{path}", b"80,3")[0] == 404


def test_what_is_wrong_with_a_model_or_a_request_is_said(call: Call, load: Callable[..., int]) -> None:
    assert load("a", "madrid") == 400
    assert call("GET", "/models") == (200, {"models": []})
    load("a")
    assert call("POST", "/models/a/invoke", b"eighty")[0] == 400
    assert call("POST", "/models/a/invoke", b"80")[0] == 400
    assert call("POST", "/models", [])[0] == 400
