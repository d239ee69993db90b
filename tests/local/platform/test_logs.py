"""The servers' output in CloudWatch Logs."""

from __future__ import annotations

import re
from pathlib import Path

import boto3
import pytest

from mme_local.hosting.spec import ContainerSpec
from mme_local.platform import Settings
from mme_local.platform.logs import Tail
from mme_local.servers.base import ServerResponse

from .conftest import Bucket, FakeServer, Hosted, Until, World

QUICK = Settings(publish_interval=3600, log_interval=0.02)
GROUP = "/aws/sagemaker/Endpoints/{}"


class Logs:
    """What CloudWatch Logs has of one endpoint, which no other test uses."""

    def __init__(self, url: str, name: str, region: str = "us-east-1") -> None:
        self.group = GROUP.format(name)
        self.client = boto3.client(
            "logs", endpoint_url=url, region_name=region, aws_access_key_id="1", aws_secret_access_key="1"
        )

    def streams(self) -> list[str]:
        return [s["logStreamName"] for s in self.client.describe_log_streams(logGroupName=self.group)["logStreams"]]

    def messages(self, stream: str | None = None) -> list[str]:
        try:
            found = self.client.filter_log_events(logGroupName=self.group)["events"]
        except self.client.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found if stream in (None, event["logStreamName"])]

    def exists(self) -> bool:
        return bool(self.client.describe_log_groups(logGroupNamePrefix=self.group)["logGroups"])


@pytest.fixture
def logs(ministack: str, bucket: Bucket) -> Logs:
    return Logs(ministack, bucket.name)


def say(server: FakeServer, text: str) -> None:
    with (server.work_dir / "server.log").open("a") as output:
        output.write(text)


async def test_output_arrives_in_the_stream_of_the_instance(
    hosted: Hosted, world: World, logs: Logs, until: Until
) -> None:
    at = hosted(settings=QUICK)
    await at.hosting.deploy(at.spec(name=at.bucket.name))
    assert not logs.exists(), "as on SageMaker, there is no group before there is output"
    say(world.servers[0], "first\n\nsecond, café\nand a line without")
    await until(lambda: len(logs.messages()) == 2)
    say(world.servers[0], " an end\n")
    await until(lambda: len(logs.messages()) == 3)
    assert logs.messages() == ["first", "second, café", "and a line without an end"]
    (stream,) = logs.streams()
    assert re.fullmatch(r"AllTraffic/i-[0-9a-f]{17}", stream)


async def test_each_instance_and_each_container_of_a_pipeline_has_a_stream(
    hosted: Hosted, world: World, logs: Logs, until: Until
) -> None:
    at = hosted(settings=QUICK)
    containers = (at.container("main"), at.container("after", multi_model=False, hostname="postprocess"))
    at.bucket.put_model("models/", b"m")
    variant = at.variant("Blue", *containers, instance_count=2)
    await at.hosting.deploy(at.spec(variant, name=at.bucket.name))
    for server in world.servers:
        say(server, f"I am {server.container.image}\n")
    await until(lambda: len(logs.messages()) == 4)
    for name, image in (("container-1", "main"), ("postprocess", "after")):
        streams = [s for s in logs.streams() if re.fullmatch(rf"Blue/i-[0-9a-f]{{17}}/{name}", s)]
        assert [logs.messages(stream) for stream in streams] == [[f"I am {image}"]] * 2


async def test_a_server_that_replaces_another_goes_on_in_its_stream(
    hosted: Hosted, world: World, logs: Logs, until: Until
) -> None:
    at = hosted(settings=Settings(publish_interval=3600, log_interval=0.02, watch_interval=0.01, failed_pings=1))
    await at.hosting.deploy(at.spec(name=at.bucket.name))
    say(world.servers[0], "the last words")
    world.servers[0].crash()
    await until(lambda: len(world.servers) == 2)
    say(world.servers[1], "the first words\n")
    await until(lambda: logs.messages() == ["the last words", "the first words"])
    assert len(logs.streams()) == 1


async def test_the_last_words_of_a_server_that_does_not_come_up_are_there(
    hosted: Hosted, world: World, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = world.make

    def make(container: ContainerSpec, work_dir: Path) -> FakeServer:
        server = start(container, work_dir)
        say(server, "no module named inference")
        return server

    at = hosted(server_factory=make, settings=Settings(publish_interval=3600, log_interval=3600))
    world.start_error = "exited with status 1"
    with pytest.raises(Exception, match="did not pass the ping health check"):
        await at.hosting.deploy(at.spec(name=at.bucket.name))
    assert logs.messages() == ["no module named inference"]


async def test_output_goes_where_the_endpoint_is(
    hosted: Hosted, world: World, ministack: str, bucket: Bucket, until: Until
) -> None:
    at = hosted(settings=QUICK)
    spec = at.spec(name=at.bucket.name)
    await at.hosting.deploy(type(spec)(spec.name, spec.config_name, spec.variants, region="eu-west-1"))
    say(world.servers[0], "bonjour\n")
    there = Logs(ministack, at.bucket.name, "eu-west-1")
    await until(lambda: there.messages() == ["bonjour"])
    at.bucket.put_model("models/a.tar.gz", b"m")
    world.answer = lambda *_: ServerResponse(500, {}, b"boom")
    _, _, body = await at.invoke(name=at.bucket.name)
    assert f"arn:aws:logs:eu-west-1:000000000000:log-group:{there.group}".encode() in body


async def test_a_deleted_group_is_made_again_with_the_next_output(
    hosted: Hosted, world: World, logs: Logs, until: Until
) -> None:
    at = hosted(settings=QUICK)
    await at.hosting.deploy(at.spec(name=at.bucket.name))
    say(world.servers[0], "before\n")
    await until(lambda: logs.messages() == ["before"])
    logs.client.delete_log_group(logGroupName=logs.group)
    say(world.servers[0], "after\n")
    await until(lambda: logs.messages() == ["after"])


async def test_the_group_outlives_the_endpoint(hosted: Hosted, world: World, logs: Logs) -> None:
    at = hosted(settings=Settings(publish_interval=3600, log_interval=3600))
    await at.hosting.deploy(at.spec(name=at.bucket.name))
    say(world.servers[0], "once\n")
    await at.hosting.remove(at.bucket.name)
    assert logs.messages() == ["once"]


def test_reads_on_in_a_file_that_was_truncated(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    tail = Tail(file)
    assert tail.lines() == []
    file.write_text("one\ntwo\nthr")
    assert tail.lines() == ["one", "two"]
    file.write_text("four\n")
    assert tail.lines() == ["thr", "four"]
    tail.close()


def test_reads_on_in_a_file_that_was_rotated(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    file.write_text("one\n")
    tail = Tail(file)
    assert tail.lines() == ["one"]
    with file.open("a") as old:
        old.write("two\n")
    file.rename(tmp_path / "server.log.1")
    file.write_text("three\n")
    assert tail.lines() == ["two"]
    assert tail.lines() == ["three"]
    tail.close()


def test_leaves_out_what_is_too_much_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    file.write_text("".join(f"line {number}\n" for number in range(100_000)))
    tail = Tail(file)
    lines = tail.lines()
    assert re.fullmatch(r"\[mme-local left out \d+ bytes of output\]", lines[0])
    assert lines[-1] == "line 99999"
    assert sum(len(line) + 1 for line in lines) < 300_000
    file.write_bytes(b"x" * 1_000_000)
    assert max(len(line) for line in tail.lines()) <= 256 * 1024, "CloudWatch takes no longer lines"
    tail.close()
