"""``mme-local push`` against a really served S3."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import ModelStore
from mme_local.packing import packed
from mme_local.push.plan import Destination
from mme_local.push.upload import PART_BYTES, Stopped, Uploader

Push = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bucket(control_plane: Any, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:60].strip("-").lower()
    control_plane.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def command(control_plane: Any) -> Callable[..., subprocess.Popen[str]]:
    def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        program = str(Path(sys.executable).with_name("mme-local"))
        return subprocess.Popen(
            [program, "push", *map(str, arguments)],
            env=os.environ | control_plane.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def push(command: Callable[..., subprocess.Popen[str]]) -> Push:
    def run(*arguments: str | Path, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        process = command(*arguments, **environment)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == status, errors
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return run


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a directory and an archive."""
    folder = tmp_path / "models"
    (folder / "iris").mkdir(parents=True)
    (folder / "iris" / "xgboost-model").write_bytes(b"iris")
    with tarfile.open(folder / "churn.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("xgboost-model")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"churn"))
    (folder / "README.md").write_text("Not a model.\n")
    return folder


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model of three parts and a bit."""
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "xgboost-model").write_bytes(random.Random(1).randbytes(3 * PART_BYTES + 1000))
    return folder


def objects(control_plane: Any, bucket: str) -> dict[str, Any]:
    contents = control_plane.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return {item["Key"]: item["LastModified"] for item in contents}


def unfinished(control_plane: Any, bucket: str) -> list[Any]:
    uploads: list[Any] = control_plane.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return uploads


def test_uploads_a_folder_of_models_and_prints_their_target_models(
    push: Push, control_plane: Any, bucket: str, models: Path
) -> None:
    result = push("--each", models, f"s3://{bucket}/models", "--folder", "tenant_a", "--framework", "xgboost")
    targets = result.stdout.splitlines()
    assert [target.rpartition("-")[0] for target in targets] == ["tenant_a/churn", "tenant_a/iris"]
    assert set(objects(control_plane, bucket)) == {f"models/{target}" for target in targets}
    assert "uploaded tenant_a/iris-" in result.stderr


def test_names_models_as_add_model_does(push: Push, bucket: str, models: Path) -> None:
    store = ModelStore(cdk.Stack(cdk.App(), "Stack"), "Models")
    named = [store.add_model("iris", models / "iris"), store.add_model("churn", models / "churn.tar.gz")]
    pushed = push(models / "iris", models / "churn.tar.gz", f"s3://{bucket}/models/").stdout.splitlines()
    assert pushed == [model.target_model for model in named]


def test_uploads_what_can_be_unpacked(push: Push, control_plane: Any, bucket: str, models: Path) -> None:
    (target,) = push(models / "iris", f"s3://{bucket}/models/", "--name", "flowers").stdout.splitlines()
    assert target.startswith("flowers-")
    body = control_plane.client("s3").get_object(Bucket=bucket, Key=f"models/{target}")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert archive.getnames() == ["xgboost-model"]


def test_uploads_an_unchanged_model_once(push: Push, control_plane: Any, bucket: str, models: Path) -> None:
    first = push(models / "iris", f"s3://{bucket}/models/")
    before = objects(control_plane, bucket)
    second = push(models / "iris", f"s3://{bucket}/models/")
    assert first.stdout == second.stdout
    assert "unchanged iris-" in second.stderr
    assert objects(control_plane, bucket) == before


def test_uploads_a_changed_model_beside_the_old_one(push: Push, control_plane: Any, bucket: str, models: Path) -> None:
    push(models / "iris", f"s3://{bucket}/models/")
    (models / "iris" / "xgboost-model").write_bytes(b"better")
    push(models / "iris", f"s3://{bucket}/models/")
    assert len(objects(control_plane, bucket)) == 2


def test_goes_on_with_an_interrupted_upload(
    push: Push,
    command: Callable[..., subprocess.Popen[str]],
    control_plane: Any,
    bucket: str,
    large: Path,
    eventually: Callable[..., Any],
) -> None:
    client = control_plane.client("s3")
    broken_off = command(large, f"s3://{bucket}/models/", "--jobs", "1")

    def parts() -> list[Any]:
        found = [
            client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", [])
            for upload in unfinished(control_plane, bucket)
        ]
        return found[0] if found else []

    eventually(parts)
    broken_off.send_signal(signal.SIGINT)
    output, errors = broken_off.communicate(timeout=60)
    assert (broken_off.returncode, output) == (130, "")
    assert "run the same command again to go on" in errors
    (upload,) = unfinished(control_plane, bucket)
    before = {part["PartNumber"]: part["LastModified"] for part in parts()}
    assert 0 < len(before) < 4

    (target,) = push(large, f"s3://{bucket}/models/").stdout.splitlines()
    assert unfinished(control_plane, bucket) == []
    with packed(large) as artifact:
        assert client.get_object(Bucket=bucket, Key=f"models/{target}")["Body"].read() == artifact.path.read_bytes()
    # It completed that very upload rather than another
    with pytest.raises(client.exceptions.ClientError, match="NoSuchUpload"):
        client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def test_sends_no_part_again_that_is_there(control_plane: Any, bucket: str, large: Path) -> None:
    client = control_plane.client("s3")
    sent: list[int] = []
    client.meta.events.register(
        "provide-client-params.s3.UploadPart", lambda params, **_: sent.append(params["PartNumber"])
    )
    with ThreadPoolExecutor(1) as pool, packed(large) as artifact:
        uploader = Uploader(client, Destination(bucket, "models/"), pool)

        def stop_after_two(_: int) -> None:
            if len(sent) == 2:
                uploader.stop()

        with pytest.raises(Stopped):
            uploader.upload(artifact.path, "large.tar.gz", stop_after_two)
        assert sent == [1, 2]
        done: list[int] = []
        assert Uploader(client, Destination(bucket, "models/"), pool).upload(artifact.path, "large.tar.gz", done.append)
        assert sent == [1, 2, 3, 4]
        assert sum(done) == artifact.path.stat().st_size


@pytest.mark.parametrize("size", [10, PART_BYTES + 1], ids=["small", "large"])
def test_never_overwrites(control_plane: Any, bucket: str, tmp_path: Path, size: int) -> None:
    client = control_plane.client("s3")
    client.put_object(Bucket=bucket, Key="models/a.tar.gz", Body=b"first")
    (tmp_path / "a").write_bytes(b"x" * size)
    with ThreadPoolExecutor(1) as pool:
        uploader = Uploader(client, Destination(bucket, "models/"), pool)
        assert uploader.upload(tmp_path / "a", "a.tar.gz", lambda _: None) is False
    assert client.get_object(Bucket=bucket, Key="models/a.tar.gz")["Body"].read() == b"first"
    assert unfinished(control_plane, bucket) == []


def test_dry_run_uploads_nothing(push: Push, control_plane: Any, bucket: str, models: Path) -> None:
    result = push("--dry-run", "--each", models, f"s3://{bucket}/models/")
    assert len(result.stdout.splitlines()) == 2
    assert "would upload iris-" in result.stderr
    assert objects(control_plane, bucket) == {}


def test_uploads_nothing_when_one_model_is_wrong(push: Push, control_plane: Any, bucket: str, models: Path) -> None:
    (models / "iris" / "xgboost-model").rename(models / "iris" / "notes.txt")
    (models / "empty").mkdir()
    result = push("--each", models, f"s3://{bucket}/models/", "--framework", "xgboost", status=1)
    assert result.stdout == ""
    assert "empty: path must hold a model" in result.stderr
    assert "iris: path must hold nothing but boosters" in result.stderr
    assert objects(control_plane, bucket) == {}


def test_says_that_there_is_no_such_bucket(push: Push, models: Path) -> None:
    result = push(models / "iris", "s3://no-such-bucket/models/", status=1)
    assert "nothing was uploaded: there is no bucket 'no-such-bucket'" in result.stderr
    assert "Traceback" not in result.stderr


def test_says_that_nothing_answers(push: Push, models: Path) -> None:
    result = push(
        models / "iris", "s3://b/models/", status=1, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1"
    )
    assert "Could not connect to the endpoint URL" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("url", ["bucket/models", "s3://bucket", "s3://bucket/", "s3://bucket//models"])
def test_refuses_what_is_no_prefix(push: Push, models: Path, url: str) -> None:
    assert "must" in push(models / "iris", url, status=2).stderr


def test_refuses_one_name_for_several_models(push: Push, models: Path) -> None:
    result = push(models / "iris", models / "churn.tar.gz", "s3://b/models/", "--name", "x", status=2)
    assert "--name is for a single model" in result.stderr


def test_refuses_two_models_of_a_name(push: Push, models: Path, tmp_path: Path) -> None:
    other = tmp_path / "iris"
    other.mkdir()
    (other / "xgboost-model").write_bytes(b"x")
    assert "give them other names" in push(models / "iris", other, "s3://b/models/", status=1).stderr
