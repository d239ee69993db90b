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
