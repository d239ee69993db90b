"""``--enforce-iam`` with a real model server: whoever may not call a model finds no way around."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from .conftest import KINDS, Endpoint, Site

TARGET = "X-Amzn-SageMaker-Target-Model"
FIXED = ["local", "test", "000000000000", "111111111111"]
ODD = "a b+c%20.tar.gz"


def statement(effect: str, action: str, **condition: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": "*", **({"Condition": condition} if condition else {})}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@pytest.fixture(scope="module")
def guarded(
    start_local: Callable[..., Any], eventually: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """An endpoint with models of two tenants, and the key of a user who may not call those of ``tenant_b``."""
    local = start_local(tmp_path_factory.mktemp("guarded") / "log.txt", "--json", "--enforce-iam")
    iam = local.client("iam")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}
    iam.create_role(RoleName="Models", AssumeRolePolicyDocument=policy(trust))
    iam.put_role_policy(RoleName="Models", PolicyName="read", PolicyDocument=policy(statement("Allow", "s3:*")))
    iam.create_user(UserName="a")
    denied = {"sagemaker:TargetModel": "tenant_b/*"}
    document = policy(
        statement("Allow", "sagemaker:InvokeEndpoint"), statement("Deny", "sagemaker:*", StringLike=denied)
    )
    iam.put_user_policy(UserName="a", PolicyName="a", PolicyDocument=document)
    made = iam.create_access_key(UserName="a")["AccessKey"]
    site = Site(local, eventually)
    at = Endpoint(site, "mms", prefix="guarded")
    at.add("tenant_a/m.tar.gz", "tenant_b/m.tar.gz", ODD)
    yield SimpleNamespace(local=local, site=site, at=at, key=(made["AccessKeyId"], made["SecretAccessKey"]))
    local.stop()


def client(local: Any, service: str, key: str, secret: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs know services by literal names
        endpoint_url=local.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def sent(guarded: Any, target: str, body: bytes, head: str, payload: bytes) -> bytes:
    """The answer to a call that the user ``a`` has signed, sent byte by byte."""
    url = f"{guarded.local.url}/endpoints/{guarded.at.name}/invocations"
    request = AWSRequest("POST", url, {TARGET: target, "Content-Type": "application/json"}, body)
    SigV4Auth(Credentials(*guarded.key), "sagemaker", "us-east-1").add_auth(request)
    fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    path = f"/endpoints/{guarded.at.name}/invocations"
    start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{guarded.local.port}\r\n{fields}{head}\r\n"
    with socket.create_connection(("127.0.0.1", guarded.local.port), timeout=60) as connection:
        connection.sendall(start.encode("latin-1") + payload)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def test_a_user_may_call_what_is_not_denied(guarded: Any) -> None:
    runtime = client(guarded.local, "sagemaker-runtime", *guarded.key)
    for target in ("tenant_a/m.tar.gz", ODD):
        answer = runtime.invoke_endpoint(
            EndpointName=guarded.at.name, TargetModel=target, Body=b"1", ContentType="application/json"
        )
        with answer["Body"] as body:
            assert body.read() == f"{target} - 1".encode()


@pytest.mark.parametrize(
    "target",
    [
        "tenant_b/m.tar.gz",
        "/tenant_b/m.tar.gz",
        "//tenant_b/m.tar.gz",
        "tenant_b//m.tar.gz",
        "./tenant_b/m.tar.gz",
        "tenant_b/./m.tar.gz",
        "tenant_a/../tenant_b/m.tar.gz",
        "../guarded/tenant_b/m.tar.gz",
        "tenant%5Fb/m.tar.gz",
        "%74enant_b/m.tar.gz",
        "tenant_b%2Fm.tar.gz",
        "%2Ftenant_b/m.tar.gz",
        '"tenant_b/m.tar.gz"',
        "=?utf-8?B?dGVuYW50X2IvbS50YXIuZ3o=?=",
    ],
)
def test_no_spelling_of_a_denied_model_is_answered(guarded: Any, target: str) -> None:
    answer = sent(guarded, target, b"1", "Content-Length: 1\r\nConnection: close\r\n", b"1")
    assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), answer
    assert guarded.at.events("loaded", target) == guarded.at.events("loaded", "tenant_b/m.tar.gz") == []


def test_fields_after_the_body_are_no_fields_of_the_head(guarded: Any) -> None:
    payload = f"1\r\n1\r\n0\r\n{TARGET}: tenant_b/m.tar.gz\r\n\r\n".encode()
    answer = sent(guarded, "tenant_a/m.tar.gz", b"1", "Transfer-Encoding: chunked\r\nConnection: close\r\n", payload)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(b"tenant_a/m.tar.gz - 1")


def test_a_target_that_is_there_twice_is_refused(guarded: Any) -> None:
    head = f"{TARGET}: tenant_b/m.tar.gz\r\nContent-Length: 1\r\nConnection: close\r\n"
    answer = sent(guarded, "tenant_a/m.tar.gz", b"1", head, b"1")
    assert answer.startswith(b"HTTP/1.1 400 "), answer


def test_an_offer_of_http_2_leaves_the_body(guarded: Any) -> None:
    head = "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    answer = sent(guarded, "tenant_a/m.tar.gz", b"7", f"{head}Content-Length: 1\r\n", b"7")
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(b"tenant_a/m.tar.gz - 7")


@pytest.mark.parametrize("key", FIXED)
def test_a_key_that_anybody_knows_is_nobodys(guarded: Any, key: str) -> None:
    for secret in (key, "any"):
        with pytest.raises(ClientError, match="none of this endpoint's"):
            client(guarded.local, "sts", key, secret).get_caller_identity()
        with pytest.raises(ClientError, match="none of this endpoint's"):
            client(guarded.local, "iam", key, secret).create_user(UserName="root")
        runtime = client(guarded.local, "sagemaker-runtime", key, secret)
        with pytest.raises(ClientError, match="none of this endpoint's"):
            runtime.invoke_endpoint(EndpointName=guarded.at.name, TargetModel="tenant_a/m.tar.gz", Body=b"1")


@pytest.mark.parametrize("whose", ["the account", "a user"])
def test_a_signature_with_another_secret_is_refused(guarded: Any, whose: str) -> None:
    key = guarded.local.environment["AWS_ACCESS_KEY_ID"] if whose == "the account" else guarded.key[0]
    calls: list[Callable[[Any], Any]] = [
        lambda make: make("sts").get_caller_identity(),
        lambda make: make("s3").list_buckets(),
        lambda make: make("sagemaker").list_endpoints(),
        lambda make: make("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker"),
        lambda make: make("sagemaker-runtime").invoke_endpoint(
            EndpointName=guarded.at.name, TargetModel="tenant_a/m.tar.gz", Body=b"1"
        ),
    ]
    for call in calls:
        with pytest.raises(ClientError, match=r"(?i)signature"):
            call(lambda service: client(guarded.local, service, key, "guessed"))


@pytest.mark.parametrize("path", ["reset", "config", "health", "reset?init=1"])
def test_nobody_resets_anything(guarded: Any, path: str) -> None:
    for prefix in ("_ministack", "_localstack"):
        request = urllib.request.Request(f"{guarded.local.url}/{prefix}/{path}", b"", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="404") as raised:
            urllib.request.urlopen(request)
        raised.value.close()
    assert guarded.site.s3.list_buckets()["Buckets"]


def test_a_streamed_invocation_says_that_there_is_none_or_that_it_is_not_allowed(guarded: Any) -> None:
    own = guarded.local.client("sagemaker-runtime")
    with pytest.raises(ClientError, match=r"ValidationError.*use InvokeEndpoint"):
        own.invoke_endpoint_with_response_stream(EndpointName=guarded.at.name, Body=b"1")
    users = client(guarded.local, "sagemaker-runtime", *guarded.key)
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:InvokeEndpointWithResponseStream"):
        users.invoke_endpoint_with_response_stream(EndpointName=guarded.at.name, Body=b"1")


@pytest.mark.parametrize(
    "url",
    ["https://models.s3.us-east-1.amazonaws.com/guarded/", "https://s3.us-east-1.amazonaws.com/models/guarded/"],
)
def test_model_data_may_be_named_by_both_https_urls(guarded: Any, url: str) -> None:
    container = guarded.site.container("mms", "guarded", ModelDataUrl=url)
    described = guarded.site.create(guarded.site.config(container))
    assert described["EndpointStatus"] == "InService", described
    for target in ("tenant_a/m.tar.gz", ODD):
        answer = guarded.site.invoke(described["EndpointName"], KINDS["mms"].request(2), TargetModel=target)
        assert answer.body == f"{target} - 2".encode(), answer
    guarded.site.delete(described["EndpointName"])
