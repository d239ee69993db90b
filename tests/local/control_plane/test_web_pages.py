"""A web page in the user's browser must not reach a service that runs code on the user's machine."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest


def signed(endpoint: Any, **headers: str) -> dict[str, str]:
    """The fields of a request with the right access key, whose signature nobody looks at without `--enforce-iam`."""
    key = endpoint.environment["AWS_ACCESS_KEY_ID"]
    scope = f"{key}/20260101/us-east-1/sts/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0", **headers}


def status(url: str, **headers: str) -> int:
    request = urllib.request.Request(f"{url}/", method="POST", headers=headers, data=b"Action=GetCallerIdentity")
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("host", ["127.0.0.1:4566", "localhost:4566", "localhost", "bucket.localhost:4566"])
def test_answers_programs(control_plane: Any, host: str) -> None:
    assert status(control_plane.url, **signed(control_plane, Host=host)) == 200


def test_refuses_a_page_of_another_origin(control_plane: Any) -> None:
    assert status(control_plane.url, **signed(control_plane, Origin="https://example.com")) == 403


def test_refuses_the_question_that_a_browser_asks_first(control_plane: Any) -> None:
    request = urllib.request.Request(control_plane.url, method="OPTIONS", headers={"Origin": "https://example.com"})
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request)
    caught.value.close()


@pytest.mark.parametrize("host", ["example.com", "example.com:4566", "127.0.0.1.example.com:4566", "localhost.example"])
def test_refuses_a_page_whose_name_points_here(control_plane: Any, host: str) -> None:
    assert status(control_plane.url, **signed(control_plane, Host=host)) == 403


PATHS = [
    "/",
    "/bucket/key",
    "/endpoints/any/invocations",
    "/endpoints/any/invocations-response-stream",
    "/2015-03-31/functions/any/invocations",
    "/_ministack/reset",
    "/_ministack/health",
    "/_localstack/health",
    "/_aws/sqs/messages",
]
FETCHED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}
FORM = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "an image": ("GET", {**FETCHED, "Sec-Fetch-Dest": "image"}),
    "an image of a page on another port": ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}),
    "an image in an old browser": ("GET", {"Referer": "https://example.com/"}),
    "a link": ("GET", {**FORM, "Sec-Fetch-User": "?1"}),
    "a link in a mail": ("GET", {**FORM, "Sec-Fetch-Site": "none"}),
    "a fetch without CORS": ("POST", {**FETCHED, "Origin": "https://example.com", "Content-Type": "text/plain"}),
    "a fetch in an old browser": ("POST", {"Origin": "http://localhost:3000", "Content-Type": "text/plain"}),
    "a fetch in a sandbox": ("POST", {"Origin": "null", "Content-Type": "text/plain"}),
    "a form": ("POST", {**FORM, "Origin": "null", "Content-Type": "application/x-www-form-urlencoded"}),
    "an upload": ("POST", {**FORM, "Content-Type": "multipart/form-data; boundary=x"}),
    "a page whose name points here": ("GET", {"Host": "rebound.example:4566"}),
    "a page whose name points here, posting": ("POST", {"Host": "127.0.0.1.rebound.example", "Content-Type": "x/y"}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", PATHS)
def test_refuses_every_way_of_a_page_to_every_path(control_plane: Any, path: str, way: str) -> None:
    method, headers = WAYS[way]
    _, _, query = control_plane.client("sts").generate_presigned_url("get_caller_identity").partition("?")
    body = b"x=1" if method == "POST" else None
    request = urllib.request.Request(f"{control_plane.url}{path}?{query}", body, headers, method=method)
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert b"not web pages" in answer.read()


@pytest.mark.parametrize("key", ["", "local", "test", "000000000000", "111111111111", "AKIAIOSFODNN7EXAMPLE"])
@pytest.mark.parametrize("presigned", [True, False])
@pytest.mark.parametrize("path", [path for path in PATHS if not path.startswith(("/_ministack", "/_localstack"))])
def test_answers_nobody_without_the_key_of_this_start(control_plane: Any, path: str, presigned: bool, key: str) -> None:
    scope = f"{key}/20260101/us-east-1/sts/aws4_request"
    query = f"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={scope}&X-Amz-Signature=0" if presigned else ""
    headers = {} if presigned else {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, Signature=0"}
    request = urllib.request.Request(f"{control_plane.url}{path}{query}", b"Action=GetCallerIdentity", headers)
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request)
    caught.value.close()
