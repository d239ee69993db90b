"""What the client costs a Lambda function: its start, its calls, its size."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution, requires
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from packaging.requirements import Requirement

import multi_model_endpoint
from multi_model_endpoint import MultiModelClient

ROUNDS, CALLS = 7, 300

_MODEL = "model.tar.gz"
_STARTS = {
    "import": ("from multi_model_endpoint import MultiModelClient", "import boto3"),
    "import and make a client": (
        "from multi_model_endpoint import MultiModelClient; MultiModelClient('endpoint')",
        "import boto3; boto3.client('sagemaker-runtime')",
    ),
    "import and make a client for aliases": (
        "from multi_model_endpoint import MultiModelClient; MultiModelClient('endpoint', models='s3://bucket/models/')",
        "import boto3; boto3.client('sagemaker-runtime'); boto3.client('s3')",
    ),
}
_ENVIRONMENT = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "1", "AWS_SECRET_ACCESS_KEY": "1"}
_TIMED = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def rows(*, rounds: int = ROUNDS, calls: int = CALLS) -> list[dict[str, Any]]:
    """Each cost, ours and boto3's."""
    found = [
        _row(f"{what}, ms", *(1000 * min(_seconds(code) for _ in range(rounds)) for code in codes))
        for what, codes in _STARTS.items()
    ]
    with _clients() as (ours, theirs):
        taken = [(_busy(ours, calls), _busy(theirs, calls)) for _ in range(rounds)]
        found.append(_row("a call, ms", *(1000 * min(each) for each in zip(*taken, strict=True))))
    # The package itself is not installed here, but its folder found
    own = sum(path.stat().st_size for path in Path(multi_model_endpoint.__file__ or "").parent.rglob("*.py"))
    sizes = own + _installed("multi-model-endpoint"), _installed("boto3")
    found.append(_row("installed, MiB", *(size / 1024**2 for size in sizes)))
    return found


def _row(what: str, ours: float, theirs: float) -> dict[str, Any]:
    return {"what": what, "MultiModelClient": ours, "boto3": theirs}


def _seconds(code: str) -> float:
    command = (sys.executable, "-c", _TIMED.format(code))
    done = subprocess.run(command, env=_ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return float(done.stdout)


def _busy(call: Callable[[], Any], calls: int) -> float:
    """Processor seconds of a call, that of the server included."""
    call()
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) / calls


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """No access log."""


@contextmanager
def _clients() -> Iterator[tuple[Callable[[], Any], Callable[[], Any]]]:
    """A call with each client."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        with patch.dict(os.environ, {**_ENVIRONMENT, "AWS_ENDPOINT_URL": url}):
            ours, theirs = MultiModelClient("endpoint"), boto3.session.Session().client("sagemaker-runtime")
        try:
            yield (
                lambda: ours.invoke(_MODEL, b"x").body,
                lambda: theirs.invoke_endpoint(EndpointName="endpoint", TargetModel=_MODEL, Body=b"x")["Body"].read(),
            )
        finally:
            server.shutdown()
            thread.join()


def _installed(*packages: str) -> int:
    """Bytes of packages and all that they need."""
    return sum(
        Path(str(file.locate())).stat().st_size
        for name in _needed(packages, set())
        for file in distribution(name).files or ()
        if file.suffix != ".pyc"
    )


def _needed(packages: Iterable[str], found: set[str]) -> set[str]:
    for name in {*packages} - found:
        found.add(name)
        lines = map(Requirement, requires(name) or ())
        _needed((line.name for line in lines if line.marker is None or line.marker.evaluate({"extra": ""})), found)
    return found
