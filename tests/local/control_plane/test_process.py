from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

COMMAND = str(Path(sys.executable).with_name("mme"))
HANDLER = "exports.handler = async () => ({pid: process.pid, endpoint: process.env.AWS_ENDPOINT_URL})"


def listening(pid: int) -> set[str]:
    """The addresses on which a process listens, as the kernel writes them."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                found.add(fields[1])
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def run_function(endpoint: Any, eventually: Any) -> dict[str, Any]:
    """Run a JavaScript function, whose worker stays for the next call."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.js", HANDLER)
    functions = endpoint.client("lambda")
    functions.create_function(
        FunctionName="where",
        Runtime="nodejs22.x",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="index.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    eventually(lambda: functions.get_function(FunctionName="where")["Configuration"]["State"] == "Active")
    with functions.invoke(FunctionName="where")["Payload"] as payload:
        answer: dict[str, Any] = json.load(payload)
    return answer


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_listens_on_one_loopback_port_only(control_plane: Any) -> None:
    assert listening(control_plane.process.pid) == {f"0100007F:{control_plane.port:04X}"}


def test_the_first_line_is_a_shell_command_for_every_client(control_plane: Any) -> None:
    told = dict(control_plane.environment)
    assert re.fullmatch("LOCAL[A-Z2-7]{24}", told.pop("AWS_ACCESS_KEY_ID"))
    assert re.fullmatch(r"[\w-]{40}", told.pop("AWS_SECRET_ACCESS_KEY"))
    program = Path(told.pop("CDK_DOCKER"))
    assert program.is_absolute()
    assert os.access(program, os.X_OK)
    assert told == {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{control_plane.port}",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "CDK_DEFAULT_ACCOUNT": "000000000000",
        "CDK_DEFAULT_REGION": "us-east-1",
    }
    assert control_plane.client("sts").get_caller_identity()["Account"] == "000000000000"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_leaves_nothing_behind_when_it_is_stopped(
    start_local: Any, tmp_path: Path, eventually: Any, number: signal.Signals
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    endpoint = start_local(tmp_path / "log", env={**os.environ, "TMPDIR": str(temporary)})
    (folder,) = temporary.iterdir()
    worker = run_function(endpoint, eventually)
    assert worker["endpoint"] == endpoint.url
    assert alive(worker["pid"])
    endpoint.process.send_signal(number)
    assert endpoint.process.wait(60) == 0
    eventually(lambda: not alive(worker["pid"]))
    assert not folder.exists()
    assert list(temporary.iterdir()) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", endpoint.port)) != 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ends_when_its_parent_is_gone(tmp_path: Path, eventually: Any) -> None:
    program = (
        "import subprocess, sys;"
        "p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True);"
        "print(p.pid, p.stdout.readline(), flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, COMMAND, "serve", "--port", "0", "--exit-with-parent", "--no-servers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        assert alive(pid)
        parent.kill()
    eventually(lambda: not alive(pid))
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_refused_in_one_sentence(control_plane: Any) -> None:
    answer = subprocess.run(
        [COMMAND, "serve", "--port", str(control_plane.port)], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr == (
        f"Error: port {control_plane.port} cannot be used: Address already in use; choose another --port\n"
    )
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "80000"], "80000 is not in the range 0<=x<=65535"),
        (["--root", "/dev/null/x"], "--root /dev/null/x cannot be used: Not a directory; choose another --root"),
    ],
)
def test_an_impossible_option_is_refused_in_one_sentence(options: list[str], message: str) -> None:
    answer = subprocess.run(
        [COMMAND, "serve", "--port", "0", *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode in (1, 2)
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def pending_custom_resource(endpoint: Any, eventually: Any) -> None:
    """Begin a stack whose custom resource never answers."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.js", "exports.handler = async () => {}")
    functions = endpoint.client("lambda")
    function = functions.create_function(
        FunctionName="silent",
        Runtime="nodejs22.x",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="index.handler",
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    resource = {"Type": "Custom::Silent", "Properties": {"ServiceToken": function}}
    stacks = endpoint.client("cloudformation")
    stacks.create_stack(StackName="silent", TemplateBody=json.dumps({"Resources": {"Silent": resource}}))

    def begun() -> bool:
        found = stacks.describe_stack_events(StackName="silent")["StackEvents"]
        return any(event.get("ResourceType") == "Custom::Silent" for event in found)

    eventually(begun)


def test_stops_at_once_while_a_custom_resource_is_awaited(start_local: Any, tmp_path: Path, eventually: Any) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    endpoint = start_local(tmp_path / "log", "--no-servers", env={**os.environ, "TMPDIR": str(temporary)})
    pending_custom_resource(endpoint, eventually)
    endpoint.process.terminate()
    assert endpoint.process.wait(60) == 0
    assert list(temporary.iterdir()) == []


def test_the_folder_of_one_that_was_killed_is_removed_by_the_next_and_no_other(
    start_local: Any, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    others = [temporary / "mme-local-without-a-lock", temporary / "mme-local-link"]
    others[0].mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    others[1].symlink_to(elsewhere)
    settings = {"env": {**os.environ, "TMPDIR": str(temporary)}}
    alive = start_local(tmp_path / "log1", "--no-servers", **settings)
    (folder,) = set(temporary.iterdir()) - set(others)
    killed = start_local(tmp_path / "log2", "--no-servers", **settings)
    killed.process.kill()
    killed.process.wait(60)
    (left,) = set(temporary.iterdir()) - {*others, folder}
    assert (left / "tmp").is_dir()
    start_local(tmp_path / "log3", "--no-servers", **settings).stop()
    assert set(temporary.iterdir()) == {*others, folder}
    assert (folder / "tmp").is_dir()
    assert (elsewhere / "lock").exists()
    alive.stop()


def test_nobody_else_may_read_what_it_writes(start_local: Any, tmp_path: Path) -> None:
    root = tmp_path / "root"
    endpoint = start_local(tmp_path / "log", "--no-servers", "--root", str(root))
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="key", Body=b"secret")
    modes = {path: path.stat().st_mode & 0o077 for path in (root, *root.rglob("*"))}
    endpoint.stop()
    assert len(modes) > 1
    assert set(modes.values()) == {0}, modes


def test_help_tells_what_to_do_with_the_first_line() -> None:
    answer = subprocess.run([COMMAND, "serve", "--help"], capture_output=True, text=True, timeout=60, check=True)
    for expected in ("--port", "--root", "--json", "--no-servers", "--exit-with-parent", "shell command"):
        assert expected in answer.stdout


def test_logs_status_changes_as_json(start_local: Any, tmp_path: Path, shapes: Any, eventually: Any) -> None:
    endpoint = start_local(tmp_path / "log", "--json", "--no-servers", "--root", str(tmp_path / "root"))
    client = endpoint.client("sagemaker")
    client.create_model(ModelName="M", PrimaryContainer=shapes.container())
    client.create_endpoint_config(EndpointConfigName="C", ProductionVariants=[shapes.variant("M")])
    client.create_endpoint(EndpointName="e", EndpointConfigName="C")
    eventually(lambda: client.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService")
    endpoint.stop()
    records = [json.loads(line) for line in endpoint.log.read_text().splitlines()]
    assert [record["status"] for record in records if record.get("endpoint") == "e"] == ["Creating", "InService"]
    assert records[0]["event"] == "serving"
    assert (tmp_path / "root").is_dir()
    assert not (tmp_path / "root" / "tmp").exists()


def test_warns_when_the_lambda_workers_would_miss_the_sdk(start_local: Any, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NODE_PATH"}
    endpoint = start_local(tmp_path / "log", "--no-servers", cwd=tmp_path, env=environment)
    endpoint.stop()
    assert "npm install @aws-sdk/client-s3" in endpoint.log.read_text()
    modules = tmp_path / "elsewhere"
    (modules / "@aws-sdk" / "client-s3").mkdir(parents=True)
    endpoint = start_local(
        tmp_path / "log", "--no-servers", cwd=tmp_path, env={**environment, "NODE_PATH": str(modules)}
    )
    endpoint.stop()
    assert "npm install" not in endpoint.log.read_text()


def test_the_users_own_account_is_never_meant(start_local: Any, tmp_path: Path, eventually: Any) -> None:
    environment = {**os.environ, "AWS_ENDPOINT_URL": "http://192.0.2.1", "AWS_PROFILE": "production"}
    endpoint = start_local(tmp_path / "log", "--no-servers", env=environment)
    answer = run_function(endpoint, eventually)
    endpoint.stop()
    assert answer["endpoint"] == endpoint.url


def test_objects_come_back_byte_by_byte(control_plane: Any) -> None:
    s3 = control_plane.client("s3")
    s3.create_bucket(Bucket="bytes")
    body = bytes(range(256)) * 30_000
    s3.put_object(Bucket="bytes", Key="grün/a b+c%20.bin", Body=body)
    with s3.get_object(Bucket="bytes", Key="grün/a b+c%20.bin")["Body"] as stream:
        assert stream.read() == body
    s3.upload_fileobj(io.BytesIO(body * 2), "bytes", "parts")
    head = s3.head_object(Bucket="bytes", Key="parts")
    assert head["ContentLength"] == 2 * len(body)
    with pytest.raises(ClientError, match="304"):
        s3.get_object(Bucket="bytes", Key="parts", IfNoneMatch=head["ETag"])
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="bytes", Key="absent")


def test_a_client_that_waits_before_it_sends_is_told_to_go_on(control_plane: Any) -> None:
    s3 = control_plane.client("s3")
    s3.create_bucket(Bucket="expecting")
    url = s3.generate_presigned_url("put_object", {"Bucket": "expecting", "Key": "key"})
    request = (
        f"PUT {url.removeprefix(control_plane.url)} HTTP/1.1\r\nHost: 127.0.0.1:{control_plane.port}\r\n"
        "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", control_plane.port), timeout=10) as connection:
        connection.sendall(request)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_signal_during_a_request_still_ends_it(start_local: Any, tmp_path: Path) -> None:
    endpoint = start_local(tmp_path / "log", "--no-servers")
    url = endpoint.client("s3").generate_presigned_url("put_object", {"Bucket": "bucket", "Key": "key"})
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=10) as connection:
        head = f"PUT {url.removeprefix(endpoint.url)} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n"
        connection.sendall(head.encode() + b"half")
        assert endpoint.client("sts").get_caller_identity()["Account"] == "000000000000"
        endpoint.process.terminate()
        assert endpoint.process.wait(60) == 0
