"""Pushes to an S3 that does not let their caller do everything, or that can't."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from click.testing import CliRunner

from mme_local.testing import LocalEndpoint, local_endpoint
from multi_model_endpoint.publishing import push
from multi_model_endpoint.publishing import upload as uploads
from multi_model_endpoint.publishing.upload import Stopped, Uploader
from multi_model_endpoint.store_url import StoreUrl

PART = 5 * 1024**2
KEY = "models/large.tar.gz"


def ignore(_: int) -> None:
    """Progress that nobody looks at."""


def answer(client: Any, operation: str, code: str, when: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    """Let S3 answer an operation so; return the list of the codes that it will have answered."""
    answered: list[str] = []

    def fail(params: Mapping[str, Any], **_: Any) -> Any:
        if not when(params):
            return None
        answered.append(code)
        return AWSResponse("", 400, HTTPHeaders(), None), {"Error": {"Code": code, "Message": "as the test says"}}

    client.meta.events.register(f"before-call.s3.{operation}", fail)
    return answered


def always(_: Mapping[str, Any]) -> bool:
    return True


@pytest.fixture
def bucket(control_plane: LocalEndpoint, unique: Callable[[str], str]) -> str:
    name = unique("restricted")
    control_plane.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of three parts."""
    monkeypatch.setattr(uploads, "PART_BYTES", PART)
    path = tmp_path / "large.tar.gz"
    path.write_bytes(random.Random(1).randbytes(2 * PART + 1000))
    return path


@pytest.fixture
def parts() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def broken_off(control_plane: LocalEndpoint, bucket: str, large: Path, parts: Executor) -> Any:
    """A client of a bucket in which an upload of one part was broken off."""
    client = control_plane.client("s3")
    uploader = Uploader(client, StoreUrl(bucket, "models/"), parts)
    with pytest.raises(Stopped):
        uploader.upload(large, "large.tar.gz", lambda _: uploader.stop())
    return client


@pytest.mark.parametrize("operation", ["ListMultipartUploads", "ListParts"])
def test_sends_everything_again_where_it_may_not_look(
    broken_off: Any, bucket: str, large: Path, parts: Executor, operation: str
) -> None:
    denied = answer(broken_off, operation, "AccessDenied", always)
    assert Uploader(broken_off, StoreUrl(bucket, "models/"), parts).upload(large, "large.tar.gz", ignore)
    assert denied == ["AccessDenied"]
    assert broken_off.get_object(Bucket=bucket, Key=KEY)["Body"].read() == large.read_bytes()


@pytest.mark.parametrize("operation", ["ListMultipartUploads", "ListParts", "AbortMultipartUpload", "UploadPart"])
def test_fails_with_what_else_s3_answers(
    broken_off: Any, bucket: str, large: Path, parts: Executor, operation: str
) -> None:
    broken_off.create_multipart_upload(Bucket=bucket, Key=KEY)
    answer(broken_off, operation, "InternalError", always)
    with pytest.raises(ClientError, match="InternalError"):
        Uploader(broken_off, StoreUrl(bucket, "models/"), parts).upload(large, "large.tar.gz", ignore)


def test_an_upload_that_somebody_else_has_cleared_away_is_no_failure(
    broken_off: Any, bucket: str, large: Path, parts: Executor
) -> None:
    broken_off.create_multipart_upload(Bucket=bucket, Key=KEY)
    gone = answer(broken_off, "AbortMultipartUpload", "NoSuchUpload", always)
    assert Uploader(broken_off, StoreUrl(bucket, "models/"), parts).upload(large, "large.tar.gz", ignore)
    assert gone == ["NoSuchUpload"]


def test_sends_parts_again_that_are_not_its_own(
    control_plane: LocalEndpoint, bucket: str, large: Path, parts: Executor
) -> None:
    """Of an upload that another tool has begun, without checksums: one right, one too short, one of other content."""
    client = control_plane.client("s3")
    body = large.read_bytes()
    begun = client.create_multipart_upload(Bucket=bucket, Key=KEY)["UploadId"]
    for number, content in enumerate([body[:PART], body[PART : PART + 9], b"x" * 1000], start=1):
        client.upload_part(Bucket=bucket, Key=KEY, UploadId=begun, PartNumber=number, Body=content)
    sent: list[int] = []
    client.meta.events.register(
        "provide-client-params.s3.UploadPart", lambda params, **_: sent.append(params["PartNumber"])
    )
    assert Uploader(client, StoreUrl(bucket, "models/"), parts).upload(large, "large.tar.gz", ignore)
    assert sent == [2, 3]
    assert client.get_object(Bucket=bucket, Key=KEY)["Body"].read() == body


def test_gives_up_when_others_write_at_the_same_time_again_and_again(
    control_plane: LocalEndpoint, bucket: str, tmp_path: Path, parts: Executor
) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"a")
    client = control_plane.client("s3")
    conflicts = answer(client, "PutObject", "ConditionalRequestConflict", always)
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        Uploader(client, StoreUrl(bucket, "models/"), parts).upload(tmp_path / "a.tar.gz", "a.tar.gz", ignore)
    assert len(conflicts) == 3


def test_writes_without_a_condition_where_s3_knows_none(
    control_plane: LocalEndpoint, bucket: str, tmp_path: Path, parts: Executor
) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"a")
    client = control_plane.client("s3")
    refused = answer(client, "PutObject", "NotImplemented", lambda params: "If-None-Match" in params["headers"])
    assert Uploader(client, StoreUrl(bucket, "models/"), parts).upload(tmp_path / "a.tar.gz", "a.tar.gz", ignore)
    assert refused == ["NotImplemented"]
    assert client.get_object(Bucket=bucket, Key="models/a.tar.gz")["Body"].read() == b"a"


def use(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Let the command find its credentials here, as in a process of its own."""
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_says_which_grant_gives_a_permission_that_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "iris"
    model.mkdir()
    (model / "xgboost-model").write_bytes(b"iris")
    trust = '{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}'
    with local_endpoint("--no-servers", "--enforce-iam", log=tmp_path / "log.txt") as guarded:
        guarded.client("s3").create_bucket(Bucket="guarded")
        role = guarded.client("iam").create_role(RoleName="visitor", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        session = guarded.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        visitor = {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }
        use(monkeypatch, {**guarded.environment, **visitor})
        result = CliRunner().invoke(push, [str(model), "s3://guarded/models/"])
    assert result.exit_code == 1
    assert "ListObjectsV2 is not allowed on s3://guarded/models/: ModelStore.grant_publish gives" in result.output


def test_says_what_the_model_server_will_make_of_a_model(
    control_plane: LocalEndpoint, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, control_plane.environment)
    for name in ("first.ubj", "second.ubj"):
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "two" / name).write_bytes(b"booster")
    command = [str(tmp_path / "two"), f"s3://{bucket}/models/", "--framework", "xgboost", "--dry-run"]
    result = CliRunner().invoke(push, command)
    assert result.exit_code == 0
    assert "warning: two: " in result.output
