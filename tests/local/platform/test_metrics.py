from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psutil
import pytest

from mme_local.platform import Settings
from mme_local.platform.metrics import VariantMetrics, histogram_data
from mme_local.platform.utilization import Utilization, processes_of
from mme_local.servers.base import ServerResponse

from .conftest import Endpoints, Hosted, Until, World

if TYPE_CHECKING:
    from types_boto3_cloudwatch.literals import StatisticType

STATISTICS: list[StatisticType] = ["SampleCount", "Sum", "Average", "Minimum", "Maximum"]
Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(ministack: str) -> Read:
    """Read one metric of an endpoint from the real CloudWatch of MiniStack."""
    client = boto3.client(
        "cloudwatch", endpoint_url=ministack, region_name="us-east-1", aws_access_key_id="1", aws_secret_access_key="1"
    )

    def get(name: str, endpoint: str, namespace: str = "AWS/SageMaker", variant: str = "AllTraffic") -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC)
        points = client.get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
            StartTime=now - datetime.timedelta(hours=1),
            EndTime=now + datetime.timedelta(hours=1),
            Period=7200,
            Statistics=STATISTICS,
        )["Datapoints"]
        return {key: sum(p[key] for p in points) for key in ("SampleCount", "Sum")} | (points[0] if points else {})

    return get


async def test_invocations_are_counted_with_sagemakers_names_units_and_dimensions(
    hosted: Hosted, world: World, read: Read
) -> None:
    at = hosted(settings=Settings(publish_interval=3600))
    at.bucket.put_model("models/a.tar.gz", b"m")
    spec = at.spec(at.variant(instance_count=2), name="counted")
    await at.hosting.deploy(spec)
    for _ in range(4):
        assert (await at.invoke(name="counted"))[0] == 200
    world.answer = lambda *_: ServerResponse(500, {}, b"")
    assert (await at.invoke(name="counted"))[0] == 424
    assert (await at.invoke("none", name="counted"))[0] == 400
    await at.hosting.flush_metrics()

    def metric(name: str, namespace: str = "AWS/SageMaker") -> dict[str, Any]:
        return read(name, "counted", namespace)

    found = {
        name: (value.get("SampleCount"), value.get("Sum"), value.get("Unit"))
        for name in (
            "Invocations",
            "InvocationsPerInstance",
            "Invocation4XXErrors",
            "Invocation5XXErrors",
            "InvocationModelErrors",
            "ModelCacheHit",
        )
        for value in [metric(name)]
    }
    assert found == {
        "Invocations": (6, 6, "None"),
        "InvocationsPerInstance": (6, 3, "None"),
        "Invocation4XXErrors": (6, 1, "None"),
        "Invocation5XXErrors": (6, 1, "None"),
        "InvocationModelErrors": (5, 1, "None"),
        "ModelCacheHit": (6, 4, "None"),
    }
    times = ("ModelLatency", "OverheadLatency", "ModelLoadingWaitTime", "ModelDownloadingTime", "ModelLoadingTime")
    counts = {name: (metric(name)["SampleCount"], metric(name)["Unit"]) for name in times}
    assert counts == {
        "ModelLatency": (5, "Microseconds"),
        "OverheadLatency": (6, "Microseconds"),
        "ModelLoadingWaitTime": (2, "Microseconds"),
        "ModelDownloadingTime": (1, "Microseconds"),
        "ModelLoadingTime": (1, "Microseconds"),
    }
    assert 1000 < metric("ModelDownloadingTime")["Maximum"] < 10_000_000
    assert metric("OverheadLatency")["Maximum"] > metric("ModelDownloadingTime")["Maximum"]
    loaded = metric("LoadedModelCount", "/aws/sagemaker/Endpoints")
    assert (loaded["SampleCount"], loaded["Sum"], loaded["Unit"]) == (2, 1, "None")
    for name in ("MemoryUtilization", "DiskUtilization"):
        measured = metric(name, "/aws/sagemaker/Endpoints")
        assert (measured["SampleCount"], measured["Unit"]) == (2, "Percent")
        assert 0 <= measured["Average"] <= 100


async def test_unloads_are_counted(at: Endpoints, world: World, read: Read) -> None:
    world.capacity = 1
    for name in "ab":
        at.bucket.put_model(f"models/{name}", b"m")
    await at.hosting.deploy(at.spec(name="unloading"))
    for name in "abab":
        await at.invoke(name, name="unloading")
    await at.hosting.flush_metrics()
    unloads = read("ModelUnloadingTime", "unloading")
    assert (unloads["SampleCount"], unloads["Unit"]) == (3, "Microseconds")


async def test_metrics_are_delivered_in_the_background_and_at_the_removal(
    hosted: Hosted, world: World, read: Read, until: Until
) -> None:
    at = hosted(settings=Settings(publish_interval=0.02))
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec(name="background"))
    await at.invoke(name="background")
    deadline = asyncio.get_running_loop().time() + 10
    while not (await asyncio.to_thread(read, "Invocations", "background"))["Sum"]:
        assert asyncio.get_running_loop().time() < deadline
    await at.invoke(name="background")
    await at.hosting.remove("background")
    assert (await asyncio.to_thread(read, "Invocations", "background"))["Sum"] == 2


async def test_a_cloudwatch_that_does_not_answer_disturbs_nobody(at: Endpoints, world: World) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec())
    at.hosting._publisher._endpoint_url = "http://127.0.0.1:9"
    await at.invoke()
    await at.hosting.flush_metrics()
    assert (await at.invoke())[0] == 200


async def test_gauges_are_delivered_once_a_minute_so_that_their_sum_is_right(
    at: Endpoints, world: World, read: Read
) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    await at.hosting.deploy(at.spec(name="gauged"))
    await at.invoke(name="gauged")
    at.hosting._publisher._gauged_minute = -1
    for _ in range(3):
        await at.hosting.flush_metrics()
    assert read("LoadedModelCount", "gauged", "/aws/sagemaker/Endpoints")["Sum"] in (1, 2)  # 2 over a minute's end


def test_few_values_are_delivered_exactly_and_many_rounded_in_pieces() -> None:
    metrics = VariantMetrics("e", "v")
    for value in (7, 7, 1234):
        metrics.add("ModelLatency", value)
    (datum,) = histogram_data(metrics, metrics.take())
    assert (datum["Values"], datum["Counts"], datum["Unit"]) == ([7.0, 1234.0], [2.0, 1.0], "Microseconds")
    assert metrics.histograms == {}
    values = range(1, 1_000_000, 37)
    for value in values:
        metrics.add("ModelLatency", value)
    data = list(histogram_data(metrics, metrics.take()))
    assert all(len(datum["Values"]) <= 150 for datum in data)
    assert len(data) == 2
    assert sum(sum(datum["Counts"]) for datum in data) == len(values)
    total = sum(v * c for datum in data for v, c in zip(datum["Values"], datum["Counts"], strict=True))
    assert total == pytest.approx(sum(values), rel=0.01)


def test_processes_are_found_by_the_folder_of_their_log(tmp_path: Path) -> None:
    inside, outside = tmp_path / "i0", tmp_path / "i1"
    program = "import sys, subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    processes = []
    try:
        for folder in (inside / "c0", outside):
            folder.mkdir(parents=True)
            with (folder / "server.log").open("wb") as log:
                command = [sys.executable, "-c", program]
                processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
        pids = [(process.pid, int(stdout.readline())) for process in processes if (stdout := process.stdout)]
        assert {p.pid for p in processes_of([inside])[inside]} == set(pids[0])
        utilization = Utilization(1000)
        first = utilization.measure({inside: 250})[inside]
        assert set(first) == {"MemoryUtilization", "DiskUtilization"}
        assert first["DiskUtilization"] == 25
        assert 0 < first["MemoryUtilization"] < 50
        assert utilization.measure({inside: 250})[inside]["CPUUtilization"] >= 0
    finally:
        for process in processes:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.communicate(timeout=10)


async def test_all_instances_are_measured_in_one_look_at_the_processes(
    at: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[Path]] = []

    def counted(directories: Iterable[Path]) -> Any:
        looks.append(list(directories))
        return processes_of(looks[-1])

    monkeypatch.setattr("mme_local.platform.utilization.processes_of", counted)
    for name in ("one", "two"):
        await at.hosting.deploy(at.spec(at.variant(instance_count=2), name=name))
    gauges = await at.hosting._measure()
    assert [len(look) for look in looks] == [4]
    loaded = sorted(gauge.endpoint_name for gauge in gauges if gauge.name == "LoadedModelCount")
    assert loaded == ["one", "one", "two", "two"]


async def test_counters_of_a_configuration_that_is_gone_are_delivered_and_dropped(at: Endpoints, read: Read) -> None:
    at.bucket.put_model("models/a.tar.gz", b"m")
    for number in range(3):
        await at.hosting.deploy(at.spec(name="renewed", config=f"config-{number}"))
        await at.invoke(name="renewed")
    assert [counted.config_name for counted in at.hosting._publisher._variants] == ["config-2"]
    assert read("Invocations", "renewed")["Sum"] == 2
    await at.hosting.remove("renewed")
    assert at.hosting._publisher._variants == []
    assert read("Invocations", "renewed")["Sum"] == 3
