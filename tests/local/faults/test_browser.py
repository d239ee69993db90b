"""A web page in a real browser, which knows even the credentials, and what a program does with the same request."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import Endpoint, Site

PAGE = """<!doctype html><meta name="referrer" content="no-referrer"><body><script>
const answers = []
const tries = []
for (const url of %s) {
  tries.push(new Promise(done => {
    const image = new Image()
    image.onload = image.onerror = done
    image.src = url
  }))
  for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'])
    tries.push(new Promise(done => {
      const frame = document.createElement('iframe')
      frame.name = 'frame' + tries.length
      document.body.appendChild(frame)
      const form = document.body.appendChild(document.createElement('form'))
      Object.assign(form, {method: 'post', action: url, enctype: type, target: frame.name})
      frame.onload = done
      form.submit()
    }))
  for (const options of [{}, {method: 'POST', body: 'x=1'}])
    for (const mode of ['no-cors', 'cors'])
      tries.push(fetch(url, {...options, mode}).then(
        answer => answers.push([url, mode, answer.type]), () => answers.push([url, mode, 'refused'])))
}
Promise.all(tries).then(() => fetch('/beacon', {method: 'POST', body: JSON.stringify(answers)}))
</script>"""
CODE = "exports.handler = async () => require('fs').writeFileSync({}, '')"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def local(start_local: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    endpoint = start_local(tmp_path / "log.txt", "--json")
    yield endpoint
    endpoint.stop()
    assert endpoint.process.returncode == 0


def children_listening(pid: int) -> list[int]:
    """The ports in this network namespace on which a child of the process listens."""
    sockets = set()
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(OSError):
            for entry in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    sockets.add(os.readlink(entry))
    tables = [Path(f"/proc/self/net/{table}").read_text().splitlines()[1:] for table in ("tcp", "tcp6")]
    fields = [line.split() for table in tables for line in table]
    return [int(f[1].rpartition(":")[2], 16) for f in fields if f[3] == "0A" and f"socket:[{f[9]}]" in sockets]


def visit(browser: str, urls: list[str], host: str, folder: Path, eventually: Callable[..., Any]) -> list[list[str]]:
    """Have a page of this host try all of these; what became of its fetches."""
    beacons: list[list[list[str]]] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((PAGE % json.dumps(urls)).encode())

        def do_POST(self) -> None:
            beacons.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as page:
        threading.Thread(target=page.serve_forever).start()
        command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"http://{host}:{page.server_port}/"]
        with (folder / "browser.txt").open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            eventually(lambda: beacons, 60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            page.shutdown()
    return beacons[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "rebound.example"])
def test_a_page_in_a_browser_does_nothing_that_a_program_does_with_the_same_request(
    chromium: str, local: Any, tmp_path: Path, eventually: Callable[..., Any], host: str
) -> None:
    marker = tmp_path / "marker"
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "nodejs22.x",
            "Handler": "index.handler",
            "Role": "arn:aws:iam::000000000000:role/any",
            "Code": {"ZipFile": CODE.format(json.dumps(str(marker)))},
        },
    }
    token = {"Fn::GetAtt": ["Function", "Arn"]}
    resource = {"Type": "Custom::Marker", "Properties": {"ServiceToken": token}}
    template = json.dumps({"Resources": {"Function": function, "Marker": resource}})
    stacks = local.client("cloudformation")
    at_home = stacks.generate_presigned_url("create_stack", {"StackName": "page", "TemplateBody": template})
    query = at_home.partition("?")[2]
    ways = [f"http://{name}:{local.port}/?{query}" for name in ("127.0.0.1", "localhost", "rebound.example")]
    ways.append(f"{local.url}/endpoints/any/invocations?{query}")
    ways += [f"{local.url}/_ministack/{path}?{query}" for path in ("reset", "health")]
    models = f"models?url=http://127.0.0.1:{local.port}/&handler=os:system"
    ways += [f"http://127.0.0.1:{port}/{models}" for port in children_listening(local.process.pid)]

    answers = visit(chromium, ways, host, tmp_path, eventually)
    assert {answer[0] for answer in answers} == set(ways)
    # the requests were answered, with what the page may not read
    assert {kind for _, mode, kind in answers if mode == "no-cors"} == {"opaque"}
    assert {kind for _, mode, kind in answers if mode == "cors"} == {"refused"}
    assert stacks.list_stacks()["StackSummaries"] == []
    assert local.client("lambda").list_functions()["Functions"] == []
    assert not marker.exists()

    with urllib.request.urlopen(at_home) as answer:
        assert answer.status == 200
    eventually(marker.exists)


def test_no_child_listens_on_a_port(local: Any, eventually: Callable[..., Any]) -> None:
    site = Site(local, eventually)
    for kind in ("mms", "triton"):
        at = Endpoint(site, kind, prefix=kind)
        at.add("a.tar.gz")
        assert at.ask("a.tar.gz").ok
    assert {"java", "tritonserver"} <= {p.name() for p in psutil.Process(local.process.pid).children(recursive=True)}
    assert children_listening(local.process.pid) == []
