"""What HTTP/1.1 allows beside a plain request, on the short way to the model servers."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from .conftest import Endpoint, Site

TARGET = "X-Amzn-SageMaker-Target-Model"
OFFER = "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.mark.parametrize(
    ("head", "payload"),
    [
        (f"{OFFER}Content-Length: 1\r\n", "7"),
        (f"{OFFER}Transfer-Encoding: chunked\r\n", "1\r\n7\r\n0\r\n\r\n"),
        ("Connection: close\r\nTransfer-Encoding: chunked\r\n", f"1\r\n7\r\n0\r\n{TARGET}: other.tar.gz\r\n\r\n"),
    ],
    ids=["an offer of HTTP/2", "an offer of HTTP/2 in chunks", "a trailer"],
)
def test_the_model_that_the_head_names_gets_the_body(
    site: Site, shared: Callable[[str], Endpoint], head: str, payload: str
) -> None:
    at = shared("mms")
    at.add("other.tar.gz")
    key = site.local.environment["AWS_ACCESS_KEY_ID"]
    request = (
        f"POST /endpoints/{at.name}/invocations HTTP/1.1\r\nHost: 127.0.0.1:{site.local.port}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/sagemaker/aws4_request\r\n"
        f"Content-Type: application/json\r\n{TARGET}: good.tar.gz\r\n{head}\r\n{payload}"
    )
    with socket.create_connection(("127.0.0.1", site.local.port), timeout=60) as connection:
        connection.sendall(request.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(b"good.tar.gz - 7")
