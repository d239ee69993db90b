"""SageMaker's contract for many models in one container, in Python's standard library.

https://docs.aws.amazon.com/sagemaker/latest/dg/mms-container-apis.html
"""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# SageMaker says where to listen when several containers share a machine
PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
MOST_MODELS = int(os.environ.get("MOST_MODELS", "1000"))
CURRENCY = "EUR"


@dataclass
class Model:
    """A loaded model: what a flat costs, by its square metres and rooms."""

    url: str
    weights: list[float]
    base: float

    def predict(self, flat: list[float]) -> dict[str, Any]:
        """The answer to a request."""
        price = self.base + sum(weight * value for weight, value in zip(self.weights, flat, strict=True))
        return {"price": price, "currency": CURRENCY}


models: dict[str, Model] = {}
loading = threading.Lock()


def load(name: str, url: str) -> tuple[int, Any]:
    """Load what SageMaker has put into the folder ``url``; its name is from now on the one it gives."""
    with loading:
        if name in models:
            return 409, {"error": f"{name} is loaded"}
        if len(models) >= MOST_MODELS:
            return 507, {"error": "no room: unload a model"}  # SageMaker does so, and tries again
        try:
            models[name] = Model(url, **json.loads(Path(url, "model.json").read_text()))
        except MemoryError:
            return 507, {"error": "no memory: unload a model"}
        except (OSError, ValueError, TypeError) as error:
            return 400, {"error": f"not a model: {error}"}
    return 200, described(name, models[name])


def described(name: str, model: Model) -> dict[str, str]:
    """A model as SageMaker wants it described."""
    return {"modelName": name, "modelUrl": model.url}


class Handler(BaseHTTPRequestHandler):
    """Answers SageMaker."""

    protocol_version = "HTTP/1.1"  # connections are kept
    wbufsize = -1  # an answer is one packet

    def do_GET(self) -> None:
        """Ping, list, describe."""
        match self.parts():
            case ["ping"]:
                self.answer(200, {})
            case ["models"]:
                self.answer(200, {"models": [described(*item) for item in list(models.items())]})
            case ["models", name] if model := models.get(name):
                self.answer(200, described(name, model))
            case _:
                self.answer(404, {"error": f"no {self.path}"})

    def do_POST(self) -> None:
        """Load, invoke."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            match self.parts():
                case ["models"]:
                    request = json.loads(body)
                    self.answer(*load(request["model_name"], request["url"]))
                case ["models", name, "invoke"] if model := models.get(name):
                    flat = [float(value) for value in body.decode().split(",")]
                    self.answer(200, model.predict(flat))
                case _:
                    self.answer(404, {"error": f"no {self.path}"})
        except (ValueError, KeyError, TypeError) as error:
            self.answer(400, {"error": f"{type(error).__name__}: {error}"})

    def do_DELETE(self) -> None:
        """Unload."""
        match self.parts():
            case ["models", name] if model := models.pop(name, None):
                self.answer(200, described(name, model))
            case _:
                self.answer(404, {"error": f"no {self.path}"})

    def parts(self) -> list[str]:
        """The path, without a query."""
        return [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]

    def answer(self, status: int, content: Any) -> None:
        """Answer in JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Not every call: SageMaker pings every few seconds."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", PORT), Handler)
    # as a container's first process it would ignore SIGTERM
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
