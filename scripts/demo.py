"""Deploy both stacks to the local endpoint with the real CDK CLI, invoke, change, look and destroy."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
from tabulate import tabulate

from mme_local.testing import local_endpoint

ROOT = Path(__file__).parent.parent
STACKS = ("CpuMultiModelStack", "GpuTritonMultiModelStack")
DEADLINE_SECONDS = 60

T = TypeVar("T")
Row = dict[str, Any]


def main() -> None:
    """Run the demo."""
    with local_aws(), tempfile.TemporaryDirectory() as output:
        run("Bootstrapping the local account", "cdk", "bootstrap", "--output", output)
        deploy = ("cdk", "deploy", "--all", "--require-approval", "never", "--output", output)
        run("Deploying both stacks", *deploy)
        outputs = [stack_outputs(stack) for stack in STACKS]
        names = [output["EndpointName"] for output in outputs]

        say("Invoking every model twice")
        invocations = [row for output in outputs for row in invoke(output)]
        configurations = {name: describe(name)["configuration"] for name in names}
        run("Deploying a change: three instances", *deploy, "-c", "instance_count=3", "-c", "deployment_wait=5")
        say("Waiting for the scaling to follow")
        endpoints = [eventually(partial(scaled, name, 3)) for name in names]
        say(
            "The same endpoints have new configurations",
            *(f"  {row['endpoint']}: {configurations[row['endpoint']]} -> {row['configuration']}" for row in endpoints),
        )
        operations = [row for name in names for row in operation(name)]
        run("Destroying both stacks", "cdk", "destroy", "--all", "--force", "--output", output)
        say("What is left are the model stores", *(f"  s3://{bucket}" for bucket in buckets()))
    show("How the endpoints are operated, as the APIs describe it", operations)
    show("What the models answered", invocations)
    show("The endpoints, as the SageMaker API described them", [without(row, "configuration") for row in endpoints])


@contextmanager
def local_aws(*options: str) -> Iterator[None]:
    """Run the local endpoint, and point this process and its children at it."""
    say("Starting the local endpoint")
    with local_endpoint(*options) as running:
        os.environ.update(running.environment)
        yield


def stack_outputs(stack: str) -> dict[str, str]:
    """A deployed stack's outputs."""
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def invoke(outputs: dict[str, str]) -> list[Row]:
    """Send each of an endpoint's models its sample request, cold and warm."""
    endpoint = outputs["EndpointName"]
    samples = {sample["model"]: sample for sample in json.loads((ROOT / "stacks/models/samples.json").read_text())}
    runtime = boto3.client("sagemaker-runtime")
    rows: list[Row] = []
    for target_model in outputs["TargetModels"].split(","):
        sample = samples[target_model.rpartition("-")[0]]
        row: Row = {"endpoint": endpoint, "target model": target_model}
        for temperature in ("cold ms", "warm ms"):
            start = time.perf_counter()
            answer = runtime.invoke_endpoint(
                EndpointName=endpoint,
                TargetModel=target_model,
                ContentType=sample["content_type"],
                Accept=sample.get("accept", "application/json"),
                Body=sample["body"],
            )["Body"].read()
            row["prediction"] = prediction(json.loads(answer))
            row[temperature] = round((time.perf_counter() - start) * 1000, 1)
        rows.append(row)
    ratio = eventually(partial(cache_hit_ratio, endpoint, 2 * len(rows)))
    return [{**row, "endpoint's cache hit ratio": ratio} for row in rows]


def prediction(answer: Any) -> str:
    """The gist of an answer: XGBoost's numbers, or Triton's first output."""
    values = answer["outputs"][0]["data"] if isinstance(answer, dict) else answer
    return ", ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values)


def cache_hit_ratio(endpoint: str, invocations: int) -> float | None:
    """CloudWatch's average of ModelCacheHit, once all invocations are in it."""
    now = datetime.now(UTC)
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ModelCacheHit",
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    count = sum(point["SampleCount"] for point in points)
    return sum(point["Sum"] for point in points) / count if count >= invocations else None


def scaled(endpoint: str, instance_count: int) -> Row | None:
    """The endpoint's description, once it has so many instances."""
    row = describe(endpoint)
    return row if row["instances"].startswith(f"{instance_count} x") else None


def describe(endpoint_name: str) -> Row:
    """What the API says of an endpoint, its configuration, its model and its store."""
    sagemaker = boto3.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=endpoint_name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    variant = config["ProductionVariants"][0]
    (container,) = sagemaker.describe_model(ModelName=variant["ModelName"])["Containers"]
    bucket, _, prefix = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    objects = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    return {
        "endpoint": endpoint_name,
        "status": endpoint["EndpointStatus"],
        "configuration": endpoint["EndpointConfigName"],
        "variant": variant["VariantName"],
        "instances": f"{endpoint['ProductionVariants'][0]['CurrentInstanceCount']} x {variant['InstanceType']}",
        "image": container["Image"].rpartition("/")[2],
        "cache": container["MultiModelConfig"]["ModelCacheSetting"],
        "models": "\n".join(item["Key"].removeprefix(prefix) for item in objects),
    }


def operation(endpoint_name: str) -> list[Row]:
    """An endpoint's scaling, alarms and dashboard."""
    resource_id = f"endpoint/{endpoint_name}/variant/AllTraffic"
    scaling = boto3.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource_id])[
        "ScalableTargets"
    ]
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource_id)
    rollback = boto3.client("sagemaker").describe_endpoint(EndpointName=endpoint_name)["LastDeploymentConfig"]
    cloudwatch = boto3.client("cloudwatch")
    alarms = [
        alarm
        for alarm in cloudwatch.describe_alarms()["MetricAlarms"]
        if {"Name": "EndpointName", "Value": endpoint_name} in alarm["Dimensions"]
        and not alarm["AlarmName"].startswith("TargetTracking-")
    ]
    dashboards = [
        entry["DashboardName"]
        for entry in cloudwatch.list_dashboards()["DashboardEntries"]
        if endpoint_name in cloudwatch.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"]
    ]
    tracked = ", ".join(
        f"{policy['TargetTrackingScalingPolicyConfiguration']['TargetValue']:g} invocations a minute and instance"
        for policy in policies["ScalingPolicies"]
    )
    traffic = rollback["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"].lower()
    watched = len(rollback["AutoRollbackConfiguration"]["Alarms"])
    states = ", ".join(f"{alarm['MetricName']} {alarm['StateValue']}" for alarm in alarms)
    return [
        {"endpoint": endpoint_name, "what": what, "is": value}
        for what, value in {
            "scaling": f"{target['MinCapacity']} to {target['MaxCapacity']} instances, {tracked}",
            "deployment": f"{traffic}, {watched} rollback alarm",
            "alarms": states.replace(", ", "\n"),
            "dashboard": ", ".join(dashboards),
        }.items()
    ]


def buckets() -> list[str]:
    """The buckets that are left, the CDK's own aside."""
    names = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    return [name for name in names if not name.startswith("cdk-")]


def eventually(question: Callable[[], T | None]) -> T:
    """Ask until there is an answer."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (answer := question()) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"no answer within {DEADLINE_SECONDS} seconds")
        time.sleep(0.5)
    return answer


def run(what: str, *command: str, cwd: Path = ROOT) -> None:
    """Run a command quietly; show what it said if it fails."""
    say(what, f"  $ {shlex.join(command)}")
    result = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"{result.stdout}\n'{shlex.join(command)}' failed")


def without(row: Row, key: str) -> Row:
    """A row but for one column."""
    return {name: value for name, value in row.items() if name != key}


def show(what: str, rows: list[Row]) -> None:
    """Print a table."""
    say(what, tabulate(rows, headers="keys", disable_numparse=True))


def say(what: str, *lines: str) -> None:
    """Print a step and its details."""
    print(f"\n== {what}", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
