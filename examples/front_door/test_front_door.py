"""The example of an HTTP API, deployed by the real CDK CLI and called as its tenants would."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint

Call = Callable[..., tuple[int, Any]]

CHURN, PRICE = b"3,95.5,5", b"120,3,15"


@pytest.fixture(scope="module")
def post(aws: LocalEndpoint, outputs: dict[str, str]) -> Call:
    """Call a model with a key, which each tenant has: its name backwards.

    The local endpoint wants the request signed, as any other.
    """
    for tenant in ("tenant_a", "tenant_b"):
        digest = hashlib.sha256(tenant[::-1].encode()).hexdigest()
        item = {"digest": {"S": digest}, "tenant": {"S": tenant}}
        aws.client("dynamodb").put_item(TableName=outputs["KeysTable"], Item=item)
    credentials = Credentials(aws.environment["AWS_ACCESS_KEY_ID"], aws.environment["AWS_SECRET_ACCESS_KEY"])

    def post(key: str | None, name: str, body: bytes) -> tuple[int, Any]:
        url = f"{aws.url}/_aws/execute-api/{outputs['ApiId']}/models/{name}"
        headers = {"content-type": "text/csv", "accept": "*/*"} | ({} if key is None else {"x-api-key": key})
        request = AWSRequest("POST", url, headers, body)
        SigV4Auth(credentials, "execute-api", aws.environment["AWS_REGION"]).add_auth(request)
        try:
            signed = urllib.request.Request(url, body, dict(request.headers.items()))
            with urllib.request.urlopen(signed, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return post


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


def test_each_tenant_calls_its_own_models(post: Call) -> None:
    assert post("a_tnanet", "churn", CHURN) == (200, [pytest.approx(0.965, abs=0.001)])
    status, (price,) = post("b_tnanet", "price", PRICE)
    assert status == 200
    assert price > 1


@pytest.mark.parametrize("name", ["price", "unknown", "tenant_b%2Fprice", "..%2Ftenant_b%2Fprice", "..%252Ftenant_b"])
def test_what_is_not_the_tenants_is_not_there(post: Call, name: str) -> None:
    assert post("a_tnanet", name, PRICE)[0] == 404


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("tenant_a", 403)])
def test_who_has_no_key_is_refused(post: Call, key: str | None, status: int) -> None:
    assert post(key, "churn", CHURN)[0] == status


def test_the_model_says_what_is_wrong_with_a_request(post: Call) -> None:
    status, answer = post("a_tnanet", "churn", b"nonsense,1,2")
    assert status == 400
    assert "could not convert string to float: 'nonsense'" in answer["message"]


def test_each_call_is_a_line_in_the_log(post: Call, aws: LocalEndpoint, outputs: dict[str, str]) -> None:
    post("b_tnanet", "price", PRICE)
    logs = aws.client("logs")

    def lines() -> list[Any]:
        found = logs.filter_log_events(logGroupName=outputs["CallLog"], filterPattern="mme.call")["events"]
        return [json.loads(event["message"]) for event in found]

    deadline = time.monotonic() + 60
    while ("tenant_b/price", 200) not in [(line.get("alias"), line.get("status")) for line in lines()]:
        assert time.monotonic() < deadline, lines()
        time.sleep(0.1)


def test_the_function_has_all_that_its_runtime_has_not(assembly: Path) -> None:
    (asset,) = {path.parent for path in assembly.glob("*/front_door.py")}
    assert not list(assembly.rglob("__pycache__"))
    environment = {
        # without the start-up files that editable installs go by
        "PYTHONPATH": f"{asset}:{sysconfig.get_path('purelib')}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ENDPOINT_NAME": "endpoint",
        "MODELS": "s3://bucket/models/",
    }
    program = "import front_door, sys; print(sys.modules['multi_model_endpoint'].__file__)"
    command = [sys.executable, "-B", "-S", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(asset / "multi_model_endpoint" / "__init__.py")
