"""The example of an HTTP API, deployed by the real CDK CLI and called as its tenants would."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mme_local.testing import LocalEndpoint

from .conftest import Account

Call = Callable[..., tuple[int, Any]]

CHURN, PRICE = b"3,95.5,5", b"120,3,15"


@pytest.fixture(scope="module")
def account(
    start_local: Callable[..., LocalEndpoint], tmp_path_factory: pytest.TempPathFactory, root: Path
) -> Iterator[Account]:
    """With the example deployed, and a key for each of its tenants, which is the tenant's name backwards."""
    folder = tmp_path_factory.mktemp("front_door")
    local = start_local(folder / "log.txt", "--docker", "never", "--instances", "1", "--enforce-iam")
    account = Account(local, "us-east-1", folder / "cdk.out")
    app = root / "examples" / "front_door"
    account.bootstrap()
    account.deploy(cwd=app)
    table = account.outputs("FrontDoor")["KeysTable"]
    for tenant in ("tenant_a", "tenant_b"):
        digest = hashlib.sha256(tenant[::-1].encode()).hexdigest()
        item = {"digest": {"S": digest}, "tenant": {"S": tenant}}
        account.client("dynamodb").put_item(TableName=table, Item=item)
    yield account
    local.stop()


@pytest.fixture(scope="module")
def call(account: Account) -> Call:
    """Call a model with a key; the local endpoint wants the request signed, as any other."""
    environment = account.local.environment
    credentials = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    api = account.outputs("FrontDoor")["ApiId"]

    def call(key: str | None, name: str, body: bytes) -> tuple[int, Any]:
        url = f"{account.local.url}/_aws/execute-api/{api}/models/{name}"
        headers = {"content-type": "text/csv", "accept": "*/*"} | ({} if key is None else {"x-api-key": key})
        request = AWSRequest("POST", url, headers, body)
        SigV4Auth(credentials, "execute-api", account.region).add_auth(request)
        try:
            signed = urllib.request.Request(url, body, dict(request.headers.items()))
            with urllib.request.urlopen(signed, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return call


def test_each_tenant_calls_its_own_models(call: Call) -> None:
    assert call("a_tnanet", "churn", CHURN) == (200, [pytest.approx(0.965, abs=0.001)])
    status, (price,) = call("b_tnanet", "price", PRICE)
    assert status == 200
    assert price > 1


@pytest.mark.parametrize("name", ["price", "unknown", "tenant_b%2Fprice", "..%2Ftenant_b%2Fprice", "..%252Ftenant_b"])
def test_what_is_not_the_tenants_is_not_there(call: Call, name: str) -> None:
    assert call("a_tnanet", name, PRICE)[0] == 404


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("tenant_a", 403)])
def test_who_has_no_key_is_refused(call: Call, key: str | None, status: int) -> None:
    assert call(key, "churn", CHURN)[0] == status


def test_the_model_says_what_is_wrong_with_a_request(call: Call) -> None:
    status, answer = call("a_tnanet", "churn", b"nonsense,1,2")
    assert status == 400
    assert "could not convert string to float: 'nonsense'" in answer["message"]


def test_each_call_is_a_line_in_the_log(call: Call, account: Account, eventually: Callable[..., Any]) -> None:
    call("b_tnanet", "price", PRICE)
    logs = account.client("logs")
    group = account.outputs("FrontDoor")["CallLog"]

    def lines() -> list[Any]:
        found = logs.filter_log_events(logGroupName=group, filterPattern="mme.call")["events"]
        return [json.loads(event["message"]) for event in found]

    eventually(lambda: ("tenant_b/price", 200) in [(line.get("alias"), line.get("status")) for line in lines()])


def test_the_function_has_all_that_its_runtime_has_not(account: Account) -> None:
    (asset,) = {path.parent for path in account.output.glob("*/front_door.py")}
    assert not list(account.output.rglob("__pycache__"))
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
