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

TARGET = "X-Amzn-SageMaker-Target-Model"
held: list[bytes] = []


def allocate(mib: int) -> None:
    held.append(os.urandom(1024) * (mib * 1024))


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
            allocate(order["mib"])
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


class Server(ThreadingHTTPServer):
    """One container's.

    Args:
        address: Where it listens.
        capacity: Most models that it loads.
        page: Most models of one answer.
        faults: What it does wrong.
        root: What is ``/`` for it.
    """

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        *,
        capacity: int = 1000,
        page: int = 1000,
        faults: frozenset[str] = frozenset(),
        root: Path = Path("/"),
    ) -> None:
        super().__init__(address, Handler)
        self.capacity = capacity
        self.page = page
        self.faults = faults
        self.root = root
        self.models: dict[str, str] = {}
        self.lock = threading.Lock()
        self.seen: dict[str, str] = {}
        self.was_full = False
        self.loading = threading.Event()
        self.ping_given_up = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for an answer

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        if parts.path == "/ping":
            self.ping()
        elif parts.path == "/models":
            self.list(int(dict(urllib.parse.parse_qsl(parts.query)).get("next_page_token", "0")))
        else:
            self.describe(parts.path.split("/")[2])

    def ping(self) -> None:
        if self.server.loading.is_set() and not self.server.ping_given_up.is_set():
            self.connection.recv(1)  # until its sender has hung up
            self.server.ping_given_up.set()
        else:
            self.answer(200, "")

    def list(self, start: int) -> None:
        models = list(self.server.models.items())
        end = start + self.server.page
        page = [{"modelName": name, "modelUrl": url} for name, url in models[start:end]]
        listed: dict[str, Any] = {"models": page}
        if end < len(models):
            listed["nextPageToken"] = str(end)
        for fault in self.server.faults:
            match fault:
                case "lists no objects":
                    listed["models"] = [name for name, _ in models]
                case "lists nothing":
                    listed = {"models": []}
                case "lists no page but the first":
                    listed.pop("nextPageToken", None)
                case "lists one page for ever" if page:
                    listed["nextPageToken"] = "0"
                case "lists what is not loaded" if page:
                    listed["models"] = [*page, {"modelName": "ghost", "modelUrl": "/ghost"}]
                case "lists what is unloaded":
                    listed["models"] = [{"modelName": name, "modelUrl": url} for name, url in self.server.seen.items()]
                case "lists other urls":
                    listed["models"] = [{**entry, "modelUrl": "/elsewhere"} for entry in page]
        self.answer(200, json.dumps(listed))

    def describe(self, name: str) -> None:
        url = self.server.models.get(name)
        if url is None:
            self.answer(200 if "describes what is unknown" in self.server.faults else 404, "")
        elif "describes another" in self.server.faults:
            self.answer(200, json.dumps({"modelName": "another", "modelUrl": url}))
        else:
            self.answer(200, json.dumps({"modelName": name, "modelUrl": url}))

    def do_DELETE(self) -> None:
        name = self.path.split("/")[2]
        with self.server.lock:
            keeps = "keeps what is unloaded" in self.server.faults and name in self.server.models
            found = True if keeps else self.server.models.pop(name, None)
        unknown = 200 if "unloads what is unknown" in self.server.faults else 404
        self.answer(unknown if found is None else 200, "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        parts, models = urllib.parse.urlsplit(self.path).path.split("/"), self.server.models
        try:
            if parts[1:] == ["models"]:
                self.load(json.loads(body))
            elif parts[1] == "invocations":
                self.invoke("/opt/ml/model", body)
            elif (name := self.headers[TARGET] if "goes by the header" in self.server.faults else parts[2]) in models:
                self.invoke(models[name], body)
            elif "answers for what is unknown" in self.server.faults:
                self.answer(200, "?")
            else:
                self.answer(404, "no such model")
        except Exception as error:
            self.answer(500, f"{type(error).__name__}: {error}")

    def load(self, request: dict[str, str]) -> None:
        server, name, url = self.server, request["model_name"], request["url"]
        folder = server.root / url.lstrip("/")
        seconds = folder / "load_seconds"
        with server.lock:
            if name in server.models:
                return self.answer(200 if "loads what is loaded" in server.faults else 409, "loaded")
            if len(server.models) >= server.capacity or ("is full for ever" in server.faults and server.was_full):
                return self.full()
            if name in server.seen and "loads once" in server.faults:
                return self.answer(500, "loaded before")
            if "has room for one" in server.faults:
                server.models.clear()
            (folder / "name").read_text()
            if (folder / "mib").exists():
                allocate(int((folder / "mib").read_text()))
            server.models[name] = url
            server.seen[name] = url
        if "answers no ping in loads" in server.faults:
            server.loading.set()
            server.ping_given_up.wait()
        if seconds.exists():
            time.sleep(float(seconds.read_text()))
        self.answer(200, "")

    def full(self) -> None:
        self.server.was_full = True
        self.answer(500 if "says nothing of memory" in self.server.faults else 507, "full")

    def invoke(self, folder: str, body: str) -> None:
        faults, first = self.server.faults, next(iter(self.server.seen.values()), folder)
        if "fails at calls" in faults or ("fails at calls of others" in faults and folder != first):
            return self.answer(500, "fails")
        if body.startswith("{"):
            return self.answer(200, do(json.loads(body)))
        name = self.server.root / folder.lstrip("/") / "name"
        said = name.read_text() if name.exists() else "no model"
        target = self.headers.get(TARGET)
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
    faults = frozenset(os.environ.get("FAULTS", "").split(","))
    port = 8080 if "ignores the port" in faults else int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    capacity, page = (int(os.environ.get(name, "1000")) for name in ("CAPACITY", "PAGE"))
    Server(("0.0.0.0", port), capacity=capacity, page=page, faults=faults).serve_forever()
