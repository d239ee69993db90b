"""As much of a registry as it takes to pull one image: none can be reached from where the tests run."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_DOCKER = "application/vnd.docker"
_MANIFEST = f"{_DOCKER}.distribution.manifest.v2+json"


class Registry:
    """A registry on 127.0.0.1, where Docker asks for no certificate, with one image of one layer.

    Args:
        layer: A tar archive.
        labels: The image's labels.
    """

    def __init__(self, layer: bytes, labels: dict[str, str]) -> None:
        layers = {"type": "layers", "diff_ids": [_digest(layer)]}
        config = {"architecture": "amd64", "os": "linux", "config": {"Labels": labels}, "rootfs": layers, "history": []}
        self._blobs = {_digest(blob): blob for blob in (layer, json.dumps(config).encode())}
        self._layer = _digest(layer)
        described = [{"size": len(blob), "digest": digest} for digest, blob in self._blobs.items()]
        self._manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {"mediaType": f"{_DOCKER}.container.image.v1+json", **described[1]},
                "layers": [{"mediaType": f"{_DOCKER}.image.rootfs.diff.tar.gzip", **described[0]}],
            }
        ).encode()
        self.asked = threading.Event()
        self.layer_may_go = threading.Event()
        self.image = ""

    def answer(self, path: str) -> tuple[str, bytes]:
        """The type and content of what is there; waits for ``layer_may_go`` with the layer."""
        if "/manifests/" in path:
            return _MANIFEST, self._manifest
        digest = path.rpartition("/")[2]
        if digest == self._layer:
            self.asked.set()
            self.layer_may_go.wait(60)
        return "application/octet-stream", self._blobs.get(digest, b"{}")


@contextmanager
def serve(registry: Registry) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            kind, content = registry.answer(self.path)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """No access log."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # whoever pulled has been ended
                return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.image = f"127.0.0.1:{server.server_port}/pulled:1"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        registry.layer_may_go.set()
        server.shutdown()
        thread.join()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
