"""A container's program: SageMaker's contract in the standard library, and things to do on demand, for tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
CAPACITY = int(os.environ.get("CAPACITY", "1000"))
models: dict[str, str] = {}
held: list[bytes] = []
lock = threading.Lock()


def do(order: dict[str, Any]) -> str:
    """What a test wants of the container."""
    match order["do"]:
        case "environment":
            return json.dumps(dict(os.environ))
        case "arguments":
            return json.dumps(sys.argv[1:])
        case "read":
            return Path(order["path"]).read_text()
        case "write":
            Path(order["path"]).write_text("written")
            return "written"
        case "print":
            print(order["text"], flush=True)
            return "printed"
        case "allocate":
            held.append(os.urandom(1024) * (order["mib"] * 1024))
            return "allocated"
        case "shared memory":
            found = os.statvfs("/dev/shm")
            return str(found.f_blocks * found.f_frsize)
        case "connect":
            with socket.create_connection((order["host"], order["port"]), timeout=2):
                return "connected"
        case "resolve":
            return socket.gethostbyname(order["host"])
        case "die":
            os._exit(3)
    return "?"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer

    def do_GET(self) -> None:
        if self.path == "/ping":
            self.answer(200, "")
        else:
            self.answer(
                200, json.dumps({"models": [{"modelName": name, "modelUrl": url} for name, url in models.items()]})
            )

    def do_DELETE(self) -> None:
        with lock:
            found = models.pop(self.path.split("/")[2], None)
        self.answer(404 if found is None else 200, "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        parts = urllib.parse.urlsplit(self.path).path.split("/")
        try:
            if parts[1:] == ["models"]:
                self.load(json.loads(body))
            elif parts[1] == "invocations":
                self.invoke("/opt/ml/model", body)
            elif parts[2] not in models:
                self.answer(404, "no such model")
            else:
                self.invoke(models[parts[2]], body)
        except Exception as error:
            self.answer(500, f"{type(error).__name__}: {error}")

    def load(self, request: dict[str, str]) -> None:
        name, url = request["model_name"], request["url"]
        seconds = Path(url, "load_seconds")
        with lock:
            if name in models:
                return self.answer(409, "loaded")
            if len(models) >= CAPACITY:
                return self.answer(507, "full")
            Path(url, "name").read_text()
            models[name] = url
        if seconds.exists():
            time.sleep(float(seconds.read_text()))
        self.answer(200, "")

    def invoke(self, folder: str, body: str) -> None:
        if body.startswith("{"):
            return self.answer(200, do(json.loads(body)))
        name = Path(folder, "name")
        said = name.read_text() if name.exists() else "no model"
        target = self.headers.get("X-Amzn-SageMaker-Target-Model")
        self.answer(200, f"{said}|{target}|{folder}|{body}")

    def answer(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """No access log."""


if __name__ == "__main__":
    if "STUBBORN" not in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("starting", flush=True)
    time.sleep(float(os.environ.get("START_SECONDS", "0")))
    if "FAIL_AT_START" in os.environ:
        sys.exit("no licence")
    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
