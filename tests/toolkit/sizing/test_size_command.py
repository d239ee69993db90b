"""``mme size``, from files to figures."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk.assertions import Template
from click.testing import CliRunner, Result

import cdk_multi_model_endpoint
from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer
from multi_model_endpoint.artifacts import InvalidModelError
from multi_model_endpoint.command import mme
from multi_model_endpoint.instances import instance_types
from multi_model_endpoint.sizing import prices
from multi_model_endpoint.sizing.command import CPU_TYPES, GPU_TYPES
from multi_model_endpoint.sizing.demand import SizedModel
from multi_model_endpoint.sizing.sources import sized
from multi_model_endpoint.store_url import StoreUrl
from multi_model_endpoint.stores.listing import Model

MIB = 1024**2
PRICED = ("--price", "ml.m6i.large=0.1", "--price", "ml.r6i.large=0.12")
TYPES = ("--instance", "ml.m6i.large", "--instance", "ml.r6i.large")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for number in range(40):
        (folder / f"model-{number}").mkdir(parents=True)
        with (folder / f"model-{number}" / "weights.bin").open("wb") as file:
            file.truncate((number + 1) * 50 * MIB)
    return folder


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No region, so that nobody is asked for prices."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture
def run() -> Callable[..., Result]:
    def command(*arguments: object, status: int = 0) -> Result:
        result = CliRunner().invoke(mme, ["size", *map(str, arguments)])
        assert result.exit_code == status, result.output
        return result

    return command


def test_says_what_is_enough_the_cheapest_first(run: Callable[..., Result], models: Path) -> None:
    result = run(models, "--rps", 20, *TYPES, *PRICED)
    header, *rows = result.stdout.split("\n\n")[0].splitlines()
    assert header.split()[:2] == ["INSTANCE", "TYPE"]
    assert [row.split()[0] for row in rows] == ["ml.r6i.large", "ml.m6i.large"]
    assert "40 models of 43.0 GB, 1.1 GB on average." in result.stdout
    assert "exponent 1 (--zipf" in result.stdout
    assert "the first is" not in result.stdout


def test_json_has_bytes_seconds_and_shares(run: Callable[..., Result], models: Path) -> None:
    found = json.loads(run(models, "--rps", 20, *TYPES, *PRICED, "--cpu-ms", 10, "--json").stdout)
    best = found["options"][0]
    assert best["instance_type"] == "ml.r6i.large"
    assert best["model_memory"] == pytest.approx(0.8 * 16 * 1024**3)
    assert 0.95 <= best["hit_ratio"] <= 1
    assert best["usd_per_month"] == pytest.approx(best["count"] * 0.12 * 730)
    assert best["cpu"] == pytest.approx(20 * 0.01 / (2 * best["count"]))
    assert found["assumptions"]["reserve"] == 0.2
    assert found["models"] == 40


@pytest.mark.parametrize("cpu", [(), ("--cpu-ms", "10")], ids=["processors unknown", "known"])
def test_what_is_to_be_pasted_is_an_endpoint(run: Callable[..., Result], models: Path, cpu: tuple[str, ...]) -> None:
    found = json.loads(run(models, "--rps", 20, *TYPES, *PRICED, *cpu, "--json").stdout)
    stack = cdk.Stack(cdk.App(), "Sized")
    container = MultiModelContainer(
        image=InferenceImage.built_in("xgboost", "1.7-1"), model_store=ModelStore(stack, "Models")
    )
    exec(found["construct"], {**vars(cdk_multi_model_endpoint), "cdk": cdk, "self": stack, "container": container})
    template = Template.from_stack(stack)
    (config,) = template.find_resources("AWS::SageMaker::EndpointConfig").values()
    variant = config["Properties"]["ProductionVariants"][0]
    assert variant["InstanceType"] == "ml.r6i.large"
    assert variant["InitialInstanceCount"] == found["options"][0]["count"]
    assert variant["VolumeSizeInGB"] >= 30
    template.resource_count_is("AWS::ApplicationAutoScaling::ScalingPolicy", len(cpu) // 2)


def test_a_trace_says_which_models_are_called_and_how_often(
    run: Callable[..., Result], models: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "calls.csv"
    lines = [f"2026-11-25T00:00:{second:02}Z,model-{second % 2}" for second in range(60)]
    trace.write_text("\n".join(["time,model", *lines, "2026-11-25T00:01:00Z,other"]))
    result = run(models, "--trace", trace, "--hit-ratio", 0.9, *TYPES, *PRICED, "--json")
    found = json.loads(result.stdout)
    assert found["requests_per_second"] == pytest.approx(60 / 61)
    # each first call has the second call of its model, two seconds later, wait as well
    assert 56 / 60 <= found["options"][0]["hit_ratio"] <= 58 / 60
    assert found["options"][0]["first"] == pytest.approx(2 / 60)
    assert any("1 calls of other models were left out" in each for each in found["assumed"])


def test_the_client_s_lines_are_a_trace_too(run: Callable[..., Result], models: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls.log"
    entries = [
        {"event": "mme.call", "alias": None, "target_model": f"model-{n % 2}-0123abcd.tar.gz"} for n in range(50)
    ]
    aliased = {"event": "mme.call", "alias": "model-3@prod", "target_model": "model-3-0123abcd.tar.gz"}
    log.write_text("".join(f"INFO {json.dumps(entry)}\n" for entry in [*entries, aliased]) + "INFO started {}\n")
    assert "by --rps" in run(models, "--trace", log, status=2).stderr
    arguments = ["--rps", 5, "--hit-ratio", 0.9, "--load-time", 0, "--bandwidth", 10**6, *TYPES, *PRICED, "--json"]
    found = json.loads(run(models, "--trace", log, *arguments).stdout)
    assert found["options"][0]["first"] == pytest.approx(3 / 51)


def test_lines_with_a_timestamp_need_no_rate(run: Callable[..., Result], models: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls.log"
    moments = [f"2026-11-25T00:00:{second:02}.000Z" for second in range(41)]
    call = {"event": "mme.call", "alias": None, "target_model": "model-1.tar.gz"}
    log.write_text("\n".join(json.dumps(call | {"timestamp": moment}) for moment in moments))
    arguments = ["--trace", log, "--hit-ratio", 0.5, *TYPES, *PRICED, "--json"]
    assert json.loads(run(models, *arguments).stdout)["requests_per_second"] == pytest.approx(1)
    log.write_text(log.read_text() + "\n" + json.dumps(call | {"timestamp": "noon"}))
    assert "by --rps" in run(models, "--trace", log, status=2).stderr


def test_the_client_s_lines_are_read_from_cloudwatch_logs(
    run: Callable[..., Result],
    models: Path,
    control_plane: Any,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in control_plane.environment.items():
        monkeypatch.setenv(name, value)
    group, logs, now = unique("/aws/lambda/caller"), control_plane.client("logs"), int(1000 * time.time())
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    entries = [json.dumps({"event": "mme.call", "alias": f"model-{number % 2}@prod"}) for number in range(51)]
    lines = [(now - 100 * number, f"[INFO]\t{entry}\n") for number, entry in enumerate(entries)]
    lines += [(now, "REPORT Duration: 3 ms"), (now - 7_200_000, entries[0])]
    events = [{"timestamp": moment, "message": line} for moment, line in sorted(lines)]
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)
    arguments = ["--log-group", group, "--hours", 1, "--hit-ratio", 0.5, *TYPES, *PRICED, "--json"]
    found = json.loads(run(models, *arguments).stdout)
    assert found["requests_per_second"] == pytest.approx(10)
    assert found["options"][0]["first"] == pytest.approx(2 / 51)
    assert f"51 calls of {group} were replayed" in found["assumed"][1]


def test_what_is_asked_for_is_looked_at_enough_or_not(run: Callable[..., Result], models: Path) -> None:
    counts = ("--count", 2, "--count", 8)
    result = run(models, "--rps", 1, "--instance", "ml.m6i.large", "--price", "ml.m6i.large=0.1", *counts)
    rows = [row.split() for row in result.stdout.split("\n\n")[0].splitlines()[1:]]
    assert [(row[1], row[-1]) for row in rows] == [("8", "yes"), ("2", "no")]
    assert "initial_instance_count=8" in result.stdout
    result = run(models, "--rps", 1, "--instance", "ml.m6i.large", "--price", "ml.m6i.large=0.1", *counts[:2], status=1)
    assert "For your stack" not in result.stdout


def test_what_is_not_enough_is_said_with_its_reason(run: Callable[..., Result], models: Path) -> None:
    result = run(models, "--rps", 1, "--instance", "ml.m6i.large", "--reserve", 80, status=1)
    assert "ml.m6i.large: none is enough: 13 models need more than its memory, 1.6 GiB, each" in result.stdout
    assert "For your stack" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["{}"], "say how many calls there are", id="no rate"),
        pytest.param(["{}/none", "--rps", "1"], "which does not exist", id="no model"),
        pytest.param(["{}/..", "--rps", "1", "--trace", "{}/../a.csv"], "columns time and model", id="no trace"),
        pytest.param(["{}", "--rps", "1", "--price", "ml.m5.large"], "TYPE=USD_PER_HOUR", id="no price"),
        pytest.param(["{}", "--rps", "1", "--instance", "ml.new"], "--memory ml.new=GIB", id="unknown type"),
        pytest.param(
            ["{}", "--rps", "1", "--instance", "ml.inf2.xlarge"], "don't run on Inferentia", id="accelerators"
        ),
        pytest.param(["s3://bucket", "--rps", "1"], "must be s3://bucket/prefix/", id="no prefix"),
        pytest.param(["{}", "--zipf", "1", "--trace", "{}/../a.csv"], "leave all but one out", id="two popularities"),
    ],
)
def test_refuses_what_it_can_not_use(
    run: Callable[..., Result], models: Path, arguments: list[str], problem: str
) -> None:
    (models.parent / "a.csv").write_text("when,what\n1,a\n")
    output = run(*(each.format(models) for each in arguments), status=2).stderr
    assert problem in " ".join(output.replace("│", " ").split())


def test_prices_that_nobody_gave_are_not_made_up(
    run: Callable[..., Result], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    result = run(models, "--rps", 20, "--instance", "ml.m6i.large")
    assert result.stdout.splitlines()[1].split()[-2] == "unknown"
    assert "Prices that are unknown: http://127.0.0.1:9 is not AWS." in result.stdout


def product(usage: str, price: str) -> dict[str, Any]:
    terms = {"a": {"priceDimensions": {"b": {"pricePerUnit": {"USD": price}}}}}
    return {"product": {"attributes": {"usagetype": usage}}, "terms": {"OnDemand": terms}}


def test_a_price_is_that_of_real_time_hosting() -> None:
    assert [*prices.hourly(product("USE1-Host:ml.m5.xlarge", "0.25"), "ml.m5.xlarge")] == [0.25]
    assert [*prices.hourly(product("Host:ml.m5.xlarge", "0.25"), "ml.m5.xlarge")] == [0.25]
    for other in ("USE1-AsyncHost:ml.m5.xlarge", "USE1-Host:ml.m5.2xlarge", "USE1-Train:ml.m5.xlarge"):
        assert not [*prices.hourly(product(other, "0.25"), "ml.m5.xlarge")]


def test_prices_are_asked_for_the_region_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    asked = []

    class Pricing:
        meta = SimpleNamespace(endpoint_url="https://api.pricing.us-east-1.amazonaws.com")

        def get_products(self, **request: Any) -> dict[str, Any]:
            asked.append({each["Field"]: each["Value"] for each in request["Filters"]})
            name = asked[-1]["instanceName"]
            usages = {"ml.a": ["EU-Host:ml.a", "EU-Train:ml.a"], "ml.b": ["EU-Host:ml.b", "EUW1-Host:ml.b"], "ml.c": []}
            found = [product(usage, f"0.{number + 1}") for number, usage in enumerate(usages[name])]
            return {"PriceList": [json.dumps(each) for each in found]}

    monkeypatch.setattr(boto3.Session, "client", lambda *_, **__: Pricing())
    assert prices.asked(["ml.a", "ml.b", "ml.c"]) == ({"ml.a": 0.1}, None)
    assert asked[0] == {"regionCode": "eu-west-1", "instanceName": "ml.a"}


def test_sizes_are_of_unpacked_files_where_they_are_known(tmp_path: Path) -> None:
    folder = tmp_path / "churn"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(50_000))
    with tarfile.open(tmp_path / "fraud.tar.gz", "w:gz") as archive:
        archive.add(folder / "weights.bin", "weights.bin")
    found = sized([str(tmp_path)], lambda url: [])
    assert found["churn"] == SizedModel("churn", 50_000, 13 * 4096)
    assert 0 < found["fraud"].download < 1000 < 50_000 <= found["fraud"].unpacked
    assert found["fraud"].is_unpacked
    assert sized([str(tmp_path / "fraud.tar.gz")], lambda url: []) == {"fraud": found["fraud"]}


def test_of_a_store_the_archives_sizes_are_known() -> None:
    def in_store(url: StoreUrl) -> list[Model]:
        assert str(url) == "s3://bucket/models/"
        return [Model("churn-0123abcd.tar.gz", 7, datetime.now(UTC))]

    found = sized(["s3://bucket/models/"], in_store)
    assert found == {"churn-0123abcd.tar.gz": SizedModel("churn-0123abcd.tar.gz", 7, 7, is_unpacked=False)}
    with pytest.raises(InvalidModelError, match="different names"):
        sized(["s3://bucket/models/", "s3://bucket/models"], in_store)
    with pytest.raises(InvalidModelError, match="got none in 's3://bucket/models/'"):
        sized(["s3://bucket/models/"], lambda url: [])


def test_the_models_of_a_store_are_sized(
    run: Callable[..., Result], control_plane: Any, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in control_plane.environment.items():
        monkeypatch.setenv(name, value)
    bucket, s3 = unique("sized"), control_plane.client("s3")
    s3.create_bucket(Bucket=bucket)
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"m/churn-0000000{number}.tar.gz", Body=bytes(1000))
    found = json.loads(run(f"s3://{bucket}/m/", "--rps", 1, *TYPES, *PRICED, "--json").stdout)
    assert (found["models"], found["bytes"]) == (3, 3000)
    assert "The files' size of 3 is not known: their archives' was taken." in found["assumed"][0]


def test_the_types_that_are_looked_at_are_in_the_table() -> None:
    known = instance_types()
    assert {known[name].multi_model for name in CPU_TYPES} == {"cpu"}
    assert {known[name].multi_model for name in GPU_TYPES} == {"gpu-documented"}
    assert len(CPU_TYPES) == 12
