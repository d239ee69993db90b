"""A page in a real browser, which knows everything but that it is one, gets nothing done."""

from __future__ import annotations

import html
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
ROLE = "arn:aws:iam::000000000000:role/any"
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
TEMPLATE = json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}})


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        assert os.environ.get("CI") != "true", "no browser: install chromium, as .ci/run does"
        pytest.skip("no browser on this machine: install chromium")
    return found


class Site(http.server.ThreadingHTTPServer):
    """A web site on a port of its own, which notes what is asked of it."""

    page = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.visits: list[str] = []
        self.done = threading.Event()


class _Visit(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, Site)
        site.visits.append(self.path)
        body = site.page.encode() if self.path == "/" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/done":
            site.done.set()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def visited(site: Site, profile: Path) -> Iterator[None]:
    """A browser looks at the site; nothing of it is left afterwards."""
    command = [browser(), *OPTIONS, f"--user-data-dir={profile}", f"http://127.0.0.1:{site.server_port}/"]
    with subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def ports_of(pid: int) -> set[int]:
    """The TCP ports on which a process or a descendant of it listens."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    listening = psutil.CONN_LISTEN
    return {
        each.laddr.port for process in processes for each in process.net_connections("tcp") if each.status == listening
    }


def create_stack(endpoint: Any, name: str) -> str:
    """A presigned URL that creates a stack; nobody looks at its signature without `--enforce-iam`."""
    scope = f"{endpoint.environment['AWS_ACCESS_KEY_ID']}/20260101/us-east-1/cloudformation/aws4_request"
    query = {"Action": "CreateStack", "StackName": name, "TemplateBody": TEMPLATE, "X-Amz-Credential": scope}
    signed = {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-SignedHeaders": "host", "X-Amz-Signature": "0"}
    return f"{endpoint.url}/?{urlencode(query | signed)}"


def page(endpoint: Any, ports: set[int], site: int) -> str:
    download = urlencode({"url": f"http://127.0.0.1:{site}/marker.mar", "model_name": "m", "handler": "h"})
    posts = [f"http://127.0.0.1:{port}/models?{download}" for port in sorted(ports)]
    posts += [create_stack(endpoint, "fetched"), f"{endpoint.url}/_ministack/reset"]
    form = html.escape(create_stack(endpoint, "posted"))
    return f"""<!doctype html>
<iframe name="frame"></iframe>
<form action="{form}" method="post" target="frame"><input name="a" value="b"></form>
<script>
const settled = [new Promise(over => {{
  const image = new Image();
  image.onload = image.onerror = over;
  image.src = {json.dumps(create_stack(endpoint, "shown"))};
}})];
settled.push(new Promise(over => {{
  document.querySelector("iframe").addEventListener("load", over);
  document.querySelector("form").submit();
}}));
for (const url of {json.dumps(posts)})
  settled.push(fetch(url, {{method: "POST", mode: "no-cors", body: "a=b"}}).catch(() => 0));
settled.push(fetch({json.dumps(create_stack(endpoint, "read"))}).catch(() => 0));
Promise.all(settled).then(() => fetch("/done"));
</script>"""


def test_a_page_in_a_real_browser_makes_nothing_and_loads_nothing(
    start_local: Any, tmp_path: Path, eventually: Any
) -> None:
    browser()
    endpoint = start_local(tmp_path / "log", "--verbose")
    sagemaker, s3 = endpoint.client("sagemaker"), endpoint.client("s3")
    s3.create_bucket(Bucket="models")
    container = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://models/"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    eventually(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService", 60)
    ports = ports_of(endpoint.process.pid)
    with Site() as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        site.page = page(endpoint, ports, site.server_port)
        with visited(site, tmp_path / "profile"):
            assert site.done.wait(90), site.visits
        site.shutdown()
    assert ports == {endpoint.port}
    assert not any("marker" in visit for visit in site.visits)
    stacks = endpoint.client("cloudformation")
    assert stacks.list_stacks()["StackSummaries"] == []
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["models"]
    log = endpoint.log.read_text()
    # the browser did ask, and a program that asks for the same is heard
    for name in ("shown", "posted", "fetched", "read"):
        assert f"StackName={name}" in log
    with urllib.request.urlopen(create_stack(endpoint, "asked")) as answer:
        assert answer.status == 200
    assert [stack["StackName"] for stack in stacks.list_stacks()["StackSummaries"]] == ["asked"]
    endpoint.stop()
