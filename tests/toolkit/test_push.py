"""``mme push`` against a really served S3."""

from __future__ import annotations

import io
import os
import random
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from click.testing import CliRunner

from cdk_multi_model_endpoint import ModelStore
from multi_model_endpoint.artifacts import packed
from multi_model_endpoint.publishing import push as command_of_push
from multi_model_endpoint.publishing.plan import plan
from multi_model_endpoint.publishing.upload import PART_BYTES, Stopped, Uploader
from multi_model_endpoint.store_url import StoreUrl

Push = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bucket(control_plane: Any, request: pytest.FixtureRequest) -> str:
    name: str = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:60].strip("-").lower()
    control_plane.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def command(control_plane: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        program = str(Path(sys.executable).with_name("mme"))
        process = subprocess.Popen(
            [program, "push", *map(str, arguments)],
            env=os.environ | control_plane.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


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


class Gate:
    """An S3 that requests with certain words never reach: their connections end when the gate opens."""

    def __init__(self, url: str, *held: bytes) -> None:
        self._target = int(url.rpartition(":")[2])
        self._held = held
        self.reached = threading.Event()
        self._open = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Gate:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        _end(self._listener)

    def open(self) -> None:
        """End the connections that are held, and those that would be."""
        self._open.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._relay, args=(source, target), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if any(words in data for words in self._held):
                    self.reached.set()
                    self._open.wait()
                    break
                target.sendall(data)
        for each in (source, target):
            _end(each)


def _end(connection: socket.socket) -> None:
    """End it also for a thread that waits for it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def test_goes_on_with_an_interrupted_upload(
    push: Push, command: Callable[..., subprocess.Popen[str]], control_plane: Any, bucket: str, large: Path
) -> None:
    client = control_plane.client("s3")
    with Gate(control_plane.url, b"partNumber=3", b"partNumber=4") as gate:
        settings = {"AWS_ENDPOINT_URL": gate.url, "AWS_MAX_ATTEMPTS": "1"}
        broken_off = command(large, f"s3://{bucket}/models/", "--jobs", "1", **settings)
        assert gate.reached.wait(60)
        broken_off.send_signal(signal.SIGINT)
        gate.open()
        output, errors = broken_off.communicate(timeout=60)
    assert (broken_off.returncode, output) == (130, "")
    assert "run the same command again to go on" in errors
    (upload,) = unfinished(control_plane, bucket)
    parts = client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])["Parts"]
    assert [part["PartNumber"] for part in parts] == [1, 2]

    (target,) = push(large, f"s3://{bucket}/models/").stdout.splitlines()
    assert unfinished(control_plane, bucket) == []
    with packed(large) as artifact:
        assert client.get_object(Bucket=bucket, Key=f"models/{target}")["Body"].read() == artifact.path.read_bytes()
    # It completed that very upload rather than another
    with pytest.raises(client.exceptions.ClientError, match="NoSuchUpload"):
        client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_leaves_no_file_when_it_is_ended(
    command: Callable[..., subprocess.Popen[str]],
    control_plane: Any,
    bucket: str,
    models: Path,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Gate(control_plane.url, f"PUT /{bucket}/".encode()) as gate:
        settings = {"AWS_ENDPOINT_URL": gate.url, "AWS_MAX_ATTEMPTS": "1", "TMPDIR": str(scratch)}
        ended = command(models / "iris", f"s3://{bucket}/models/", **settings)
        assert gate.reached.wait(60)
        assert len([*scratch.rglob("model.tar.gz")]) == 1
        ended.send_signal(number)
        gate.open()
        output, _ = ended.communicate(timeout=60)
    assert (ended.returncode, output) == (128 + number, "")
    assert [*scratch.iterdir()] == []


def test_can_be_interrupted_while_it_reads_the_models(
    command: Callable[..., subprocess.Popen[str]], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    with (model / "xgboost-model").open("wb") as file:
        file.truncate(1024**4)  # which takes an hour to read
    reading = command(model, "s3://b/models/")
    opened = Path(f"/proc/{reading.pid}/fd")
    eventually(lambda: any(link.is_symlink() and link.readlink() == model / file.name for link in opened.iterdir()))
    reading.send_signal(signal.SIGINT)
    output, errors = reading.communicate(timeout=60)
    assert (reading.returncode, output) == (130, "")
    assert "Traceback" not in errors


def test_publishes_nothing_under_the_digest_of_another_content(
    control_plane: Any, bucket: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that changes between its being named and its being packed."""

    def planned(*arguments: Any) -> Any:
        found = plan(*arguments)
        (models / "iris" / "xgboost-model").write_bytes(b"changed")
        return found

    for name, value in control_plane.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("multi_model_endpoint.publishing.command.plan", planned)
    result = CliRunner().invoke(command_of_push, [str(models / "iris"), f"s3://{bucket}/models/"])
    assert result.exit_code == 1
    assert "iris' has changed since it was checked: wait until it is written, and push again" in result.output
    assert objects(control_plane, bucket) == {}


@pytest.mark.parametrize(
    ("before", "completes"), [("ListParts", False), ("UploadPart", False), ("CompleteMultipartUpload", True)]
)
def test_leaves_a_model_to_a_push_that_is_faster(
    control_plane: Any, bucket: str, large: Path, before: str, completes: bool
) -> None:
    """Two pushes send the parts of one upload, which the other one completes; S3 lets an upload be completed twice."""
    with ThreadPoolExecutor(1) as pool, packed(large) as artifact:

        def uploader(client: Any) -> Uploader:
            return Uploader(client, StoreUrl(bucket, "models/"), pool)

        begun = uploader(control_plane.client("s3"))
        with pytest.raises(Stopped):
            begun.upload(artifact.path, "large.tar.gz", lambda _: begun.stop())
        faster: list[bool] = []

        def overtake(**_: Any) -> None:
            if not faster:
                faster.append(True)
                with ThreadPoolExecutor(1) as other:
                    own = Uploader(control_plane.client("s3"), StoreUrl(bucket, "models/"), other)
                    faster[:] = [own.upload(artifact.path, "large.tar.gz", lambda _: None)]

        client = control_plane.client("s3")
        client.meta.events.register(f"before-call.s3.{before}", overtake)
        assert uploader(client).upload(artifact.path, "large.tar.gz", lambda _: None) is completes
        assert faster == [True]
        body = client.get_object(Bucket=bucket, Key="models/large.tar.gz")["Body"].read()
        assert body == artifact.path.read_bytes()
    assert unfinished(control_plane, bucket) == []


def test_begins_anew_when_its_upload_is_aborted(control_plane: Any, bucket: str, large: Path) -> None:
    client = control_plane.client("s3")
    aborted: list[str] = []

    def abort(**_: Any) -> None:
        if not aborted:
            (upload,) = unfinished(control_plane, bucket)
            aborted.append(upload["UploadId"])
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    client.meta.events.register("before-call.s3.CompleteMultipartUpload", abort)
    with ThreadPoolExecutor(1) as pool, packed(large) as artifact:
        uploader = Uploader(client, StoreUrl(bucket, "models/"), pool)
        assert uploader.upload(artifact.path, "large.tar.gz", lambda _: None)
        body = client.get_object(Bucket=bucket, Key="models/large.tar.gz")["Body"].read()
        assert body == artifact.path.read_bytes()
    assert len(aborted) == 1


@pytest.mark.parametrize("there", [True, False])
def test_settles_a_conflict_of_two_writes(control_plane: Any, bucket: str, models: Path, there: bool) -> None:
    """S3 answers 409 to conditional writes at the same time."""
    client = control_plane.client("s3")
    conflicts: list[bool] = []

    def conflict(**_: Any) -> Any:
        if conflicts:
            return None
        conflicts.append(True)
        if there:
            control_plane.client("s3").put_object(Bucket=bucket, Key="models/a.tar.gz", Body=b"same")
        error = {"Code": "ConditionalRequestConflict", "Message": "at the same time"}
        return AWSResponse("", 409, HTTPHeaders(), None), {"Error": error}

    client.meta.events.register("before-call.s3.PutObject", conflict)
    with ThreadPoolExecutor(1) as pool:
        uploader = Uploader(client, StoreUrl(bucket, "models/"), pool)
        assert uploader.upload(models / "churn.tar.gz", "a.tar.gz", lambda _: None) is not there
    assert [*objects(control_plane, bucket)] == ["models/a.tar.gz"]


def test_sends_no_part_again_that_is_there(control_plane: Any, bucket: str, large: Path) -> None:
    client = control_plane.client("s3")
    sent: list[int] = []
    client.meta.events.register(
        "provide-client-params.s3.UploadPart", lambda params, **_: sent.append(params["PartNumber"])
    )
    with ThreadPoolExecutor(1) as pool, packed(large) as artifact:
        uploader = Uploader(client, StoreUrl(bucket, "models/"), pool)

        def stop_after_two(_: int) -> None:
            if len(sent) == 2:
                uploader.stop()

        with pytest.raises(Stopped):
            uploader.upload(artifact.path, "large.tar.gz", stop_after_two)
        assert sent == [1, 2]
        done: list[int] = []
        assert Uploader(client, StoreUrl(bucket, "models/"), pool).upload(artifact.path, "large.tar.gz", done.append)
        assert sent == [1, 2, 3, 4]
        assert sum(done) == artifact.path.stat().st_size


@pytest.mark.parametrize("size", [10, PART_BYTES + 1], ids=["small", "large"])
def test_never_overwrites(control_plane: Any, bucket: str, tmp_path: Path, size: int) -> None:
    client = control_plane.client("s3")
    client.put_object(Bucket=bucket, Key="models/a.tar.gz", Body=b"first")
    (tmp_path / "a").write_bytes(b"x" * size)
    with ThreadPoolExecutor(1) as pool:
        uploader = Uploader(client, StoreUrl(bucket, "models/"), pool)
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
    assert [line.rpartition(" ")[2] for line in result.stderr.splitlines()[1:]] == [
        "[emptyModel]",
        "[xgboostNotABooster]",
    ]
    assert objects(control_plane, bucket) == {}


def test_says_what_the_framework_may_not_mean_with_its_id(push: Push, bucket: str, models: Path) -> None:
    (models / "iris" / "another-model").write_bytes(b"iris")
    result = push("--each", models, f"s3://{bucket}/models/", "--framework", "xgboost", "--dry-run")
    assert "warning: iris: path holds 2 files at its root" in result.stderr
    assert "if that is not what you mean [xgboostSeveralModels]\n" in result.stderr


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


def test_refuses_a_link_to_itself(push: Push, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    result = push(tmp_path / "loop", "s3://b/models/", status=1)
    assert "SOURCE must be a model's directory or .tar.gz file" in result.stderr
    assert "Traceback" not in result.stderr


def test_refuses_two_models_of_a_name(push: Push, models: Path, tmp_path: Path) -> None:
    other = tmp_path / "iris"
    other.mkdir()
    (other / "xgboost-model").write_bytes(b"x")
    assert "give them other names" in push(models / "iris", other, "s3://b/models/", status=1).stderr
