"""Every way in as a browser, an old client or somebody with a guessed key takes it, byte by byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

INVOKE = "/endpoints/e/invocations"
SIGNED = (
    "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=0"
)
PAGES = {
    "image": ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
    "form": ["Origin: null", "Content-Type: application/x-www-form-urlencoded"],
    "fetch": ["Origin: http://127.0.0.1:1", "Sec-Fetch-Mode: no-cors", "Content-Type: text/plain"],
    "same site": ["Sec-Fetch-Site: same-site"],
    "link": ["Referer: http://example.com/"],
    "rebinding": ["Host: example.com:4566"],
}


def ask(endpoint: Any, method: str, target: str, fields: list[str], body: bytes = b"", length: bool = True) -> bytes:
    """The whole answer to a request of which every byte is ours."""
    lines = [f"{method} {target} HTTP/1.1", "Connection: close", *fields]
    if not any(field.startswith("Host:") for field in fields):
        lines.append("Host: 127.0.0.1")
    if length:
        lines.append(f"Content-Length: {len(body)}")
    answer = b""
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        while read := connection.recv(65536):
            answer += read
    return answer


@pytest.mark.parametrize("path", ["/", INVOKE, "/bucket/key", "/_ministack/reset", "/_ministack/cfn-response/x"])
@pytest.mark.parametrize("way", PAGES)
def test_no_page_gets_in_even_with_the_right_key(control_plane: Any, way: str, path: str) -> None:
    signed = SIGNED.format(control_plane.environment["AWS_ACCESS_KEY_ID"])
    for method in ("GET", "POST", "PUT"):
        answer = ask(control_plane, method, path, [*PAGES[way], signed], b"Action=GetCallerIdentity")
        assert answer.startswith(b"HTTP/1.1 403 "), answer
        assert b"not web pages" in answer


@pytest.mark.parametrize("key", ["local", "test", "111111111111", "000000000000", ""])
def test_no_key_but_this_starts_own_gets_in(control_plane: Any, key: str) -> None:
    for path in ("/", INVOKE, "/bucket/key", "/_ministack/x"):
        answer = ask(control_plane, "POST", path, [SIGNED.format(key)], b"Action=GetCallerIdentity")
        assert answer[:12] in (b"HTTP/1.1 403", b"HTTP/1.1 404"), answer
        query = f"{path}?Action=GetCallerIdentity&X-Amz-Credential={key}%2F20260101%2Fus-east-1%2Fsts%2Faws4_request"
        answer = ask(control_plane, "GET", query, [])
        assert answer[:12] in (b"HTTP/1.1 403", b"HTTP/1.1 404"), answer


def test_an_offer_of_http_2_loses_no_body(control_plane: Any) -> None:
    signed = SIGNED.format(control_plane.environment["AWS_ACCESS_KEY_ID"])
    offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", signed]
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    kind = "Content-Type: application/x-www-form-urlencoded"
    answer = ask(control_plane, "POST", "/", [*offer, kind], body)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"GetCallerIdentityResult" in answer


def test_fields_after_the_body_stand_in_for_none_before_it(control_plane: Any) -> None:
    wrong = SIGNED.format("local")
    right = SIGNED.format(control_plane.environment["AWS_ACCESS_KEY_ID"])
    for before, after, status in ((wrong, right, 403), (right, wrong, 200)):
        fields = ["Transfer-Encoding: chunked", "Content-Type: application/x-www-form-urlencoded", before]
        body = f"18\r\nAction=GetCallerIdentity\r\n0\r\n{after}\r\n\r\n".encode()
        answer = ask(control_plane, "POST", "/", fields, body, length=False)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer


@pytest.fixture(scope="module")
def enforced(start_local: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    endpoint = start_local(tmp_path_factory.mktemp("enforced") / "log", "--no-servers", "--enforce-iam")
    yield endpoint
    endpoint.stop()


def client(endpoint: Any, service: str, key: str, secret: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.mark.parametrize("key", ["local", "test", "111111111111", "000000000000", None])
def test_no_guessed_secret_is_anybodys(enforced: Any, key: str | None) -> None:
    tried = key or enforced.environment["AWS_ACCESS_KEY_ID"]
    calls = [
        lambda: client(enforced, "sts", tried, "any").get_caller_identity(),
        lambda: client(enforced, "s3", tried, "any").list_buckets(),
        lambda: client(enforced, "sagemaker-runtime", tried, "any").invoke_endpoint(EndpointName="e", Body=b""),
        lambda: client(enforced, "sagemaker", tried, "any").list_endpoints(),
    ]
    for call in calls:
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
        assert refused.value.response["Error"]["Code"] not in ("ValidationError", "NoSuchBucket")


def test_nobody_resets_it(enforced: Any) -> None:
    own = enforced.client("s3")
    own.create_bucket(Bucket="kept")
    signed = SIGNED.format(enforced.environment["AWS_ACCESS_KEY_ID"])
    for fields in ([], [signed]):
        assert ask(enforced, "POST", "/_ministack/reset", fields).startswith(b"HTTP/1.1 404 ")
    assert "kept" in json.dumps([bucket["Name"] for bucket in own.list_buckets()["Buckets"]])
