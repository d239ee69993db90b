"""Draw a deployed stack's dashboard to docs/dashboard.png as CloudWatch shows it, with traffic on the local endpoint.

The widgets, their places, axes and metrics are those of the dashboard that the real CDK CLI deployed; the points are
those of the local CloudWatch. Run it from the repository: ``python -m scripts.draw_dashboard``.
"""

from __future__ import annotations

import io
import itertools
import json
import random
import re
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import matplotlib.dates
import matplotlib.patches
import matplotlib.ticker
from botocore.exceptions import ClientError
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.demo import ROOT, local_aws, run, say, stack_outputs

STACK = "CpuMultiModelStack"
PICTURE = ROOT / "docs" / "dashboard.png"

MODELS = 24
# An instance has memory for 7 of the padded models.
MEMORY_BUDGET_MIB = 1
PADDING_BYTES = 100_000
PHASE_SECONDS = 60

# A dashboard is 24 columns wide.
COLUMN_PIXELS = 66
ROW_PIXELS = 58
GAP_PIXELS = 10
DPI = 100
PALETTE = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
TEXT = "#16191f"
FAINT = "#687078"
LINES = "#eaeded"


@dataclass(frozen=True)
class Phase:
    """A minute of traffic.

    Attributes:
        models: How many models are called.
        requests_per_second: How often.
        evenly: Whether all models are called equally often, rather than the first most often.
        failing: The share of requests that cannot be answered.
    """

    models: int
    requests_per_second: float
    evenly: bool = False
    failing: float = 0.0


PHASES = (
    Phase(6, 3),
    Phase(12, 8, failing=0.03),
    Phase(MODELS, 3, evenly=True),
    Phase(8, 12, failing=0.01),
)


@dataclass(frozen=True)
class TargetModel:
    """A model to call: its name, and a request that it answers."""

    name: str
    content_type: str
    body: str


@dataclass(frozen=True)
class Series:
    """A line of a graph."""

    label: str
    color: str
    right: bool
    points: Mapping[datetime, float]


def main() -> None:
    """Deploy, send traffic, look, draw and destroy."""
    with local_aws("--memory-budget", str(MEMORY_BUDGET_MIB)), tempfile.TemporaryDirectory() as output:
        run("Bootstrapping the local account", "cdk", "bootstrap", "--output", output)
        run("Deploying the stack", "cdk", "deploy", STACK, "--require-approval", "never", "--output", output)
        outputs = stack_outputs(STACK)
        models = upload_models(outputs["ModelStoreUrl"])
        begin = next_minute()
        say(f"Sending traffic for {len(PHASES) * PHASE_SECONDS} seconds")
        answers = send_traffic(outputs["EndpointName"], models)
        end = next_minute()
        say("Drawing the dashboard", *(f"  {count} x {answer}" for answer, count in answers.most_common()))
        draw(dashboard_of(outputs["EndpointName"]), begin, end, PICTURE)
        run("Destroying the stack", "cdk", "destroy", STACK, "--force", "--output", output)
    say(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1000} kB")


# Traffic


def upload_models(store_url: str) -> list[TargetModel]:
    """Upload copies of the sample models, as models that come after the deployment."""
    bucket, _, prefix = store_url.removeprefix("s3://").partition("/")
    samples = json.loads((ROOT / "stacks/models/samples.json").read_text())
    chosen = [sample for sample in samples if sample["server"] == "xgboost"]
    uploaded = []
    for number, sample in zip(range(MODELS), itertools.cycle(chosen), strict=False):
        name = f"copies/{sample['model']}-{number}.tar.gz"
        model = ROOT / "stacks/models/xgboost" / sample["model"] / "xgboost-model"
        boto3.client("s3").put_object(Bucket=bucket, Key=prefix + name, Body=padded_archive(model))
        uploaded.append(TargetModel(name, sample["content_type"], sample["body"]))
    return uploaded


def padded_archive(model: Path) -> bytes:
    """A model's archive, with a file beside it that makes it large."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in {model.name: model.read_bytes(), ".padding": bytes(PADDING_BYTES)}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def send_traffic(endpoint: str, models: Sequence[TargetModel]) -> Counter[str]:
    """Call the models, each phase in its own way; return the answers' kinds."""
    runtime = boto3.client("sagemaker-runtime")
    dice = random.Random(1)  # noqa: S311 - the same traffic each time
    answers: Counter[str] = Counter()

    def call(model: TargetModel) -> None:
        try:
            runtime.invoke_endpoint(
                EndpointName=endpoint, TargetModel=model.name, ContentType=model.content_type, Body=model.body
            )["Body"].read()
            answers["answered"] += 1
        except ClientError as error:
            answers[error.response["Error"]["Code"]] += 1

    with ThreadPoolExecutor(8) as callers:
        for phase in PHASES:
            end = time.monotonic() + PHASE_SECONDS
            weights = [1.0 if phase.evenly else 1 / rank for rank in range(1, phase.models + 1)]
            while time.monotonic() < end:
                (model,) = dice.choices(models[: phase.models], weights)
                if dice.random() < phase.failing:
                    model = dice.choice(
                        [
                            TargetModel(model.name, model.content_type, "not,a,number"),
                            TargetModel("copies/none.tar.gz", model.content_type, model.body),
                        ]
                    )
                callers.submit(call, model)
                time.sleep(dice.expovariate(phase.requests_per_second))
    return answers


def next_minute() -> datetime:
    """Wait for the next clock minute, of which CloudWatch's points are, and for the metrics of the last one."""
    now = datetime.now(UTC)
    minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    time.sleep((minute - now).total_seconds())
    return minute


# Metrics


def dashboard_of(endpoint: str) -> dict[str, Any]:
    """The dashboard that shows an endpoint, as it was deployed."""
    cloudwatch = boto3.client("cloudwatch")
    for entry in cloudwatch.list_dashboards()["DashboardEntries"]:
        body = cloudwatch.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"]
        if endpoint in body:
            dashboard: dict[str, Any] = json.loads(body)
            return dashboard
    raise SystemExit(f"no dashboard shows {endpoint}")


def read_series(properties: dict[str, Any], begin: datetime, end: datetime) -> list[Series]:
    """A widget's lines."""
    metrics: dict[str, Mapping[datetime, float]] = {}
    shown: list[tuple[str, dict[str, Any]]] = []
    for number, entry in enumerate(properties["metrics"]):
        names = [part for part in entry if isinstance(part, str)]
        options: dict[str, Any] = next((part for part in entry if isinstance(part, dict)), {})
        key = options.get("id", f"unnamed{number}")
        if names:
            metrics[key] = read_points(names, options, begin, end)
        if options.get("visible", True):
            shown.append((key, options))
    return [
        Series(
            label=options["label"],
            color=options.get("color", color),
            right=options.get("yAxis") == "right",
            points=evaluate(options["expression"], metrics) if "expression" in options else metrics[key],
        )
        for (key, options), color in zip(shown, itertools.cycle(PALETTE), strict=False)
    ]


def read_points(
    metric: Sequence[str], options: dict[str, Any], begin: datetime, end: datetime
) -> Mapping[datetime, float]:
    """A metric's points by their time."""
    namespace, name, *dimensions = metric
    (result,) = boto3.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": name,
                        "Dimensions": [
                            {"Name": key, "Value": value}
                            for key, value in zip(dimensions[::2], dimensions[1::2], strict=True)
                        ],
                    },
                    "Period": options.get("period", 300),
                    "Stat": options.get("stat", "Average"),
                },
            }
        ],
        StartTime=begin,
        EndTime=end,
    )["MetricDataResults"]
    return dict(sorted(zip(result["Timestamps"], result["Values"], strict=True)))


def evaluate(expression: str, metrics: Mapping[str, Mapping[datetime, float]]) -> Mapping[datetime, float]:
    """Evaluate metric math, which the local CloudWatch does not; a metric by a number is all that is needed."""
    found = re.fullmatch(r"(\w+) */ *(\d+)", expression)
    if found is None:
        raise SystemExit(f"{expression}: only a quotient of a metric and a number can be drawn")
    return {time: value / int(found[2]) for time, value in metrics[found[1]].items()}


# Drawing


def draw(dashboard: dict[str, Any], begin: datetime, end: datetime, path: Path) -> None:
    """Draw all widgets where the dashboard has them."""
    widgets = dashboard["widgets"]
    width = 24 * COLUMN_PIXELS + GAP_PIXELS
    height = max(widget["y"] + widget["height"] for widget in widgets) * ROW_PIXELS + GAP_PIXELS
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="#f2f3f3")
    # A point stands at the begin of its minute.
    shown = begin - timedelta(seconds=15), end - timedelta(seconds=45)
    for widget in widgets:
        left = widget["x"] * COLUMN_PIXELS + GAP_PIXELS
        top = widget["y"] * ROW_PIXELS + GAP_PIXELS
        size = widget["width"] * COLUMN_PIXELS - GAP_PIXELS, widget["height"] * ROW_PIXELS - GAP_PIXELS
        card = figure.add_axes((left / width, 1 - (top + size[1]) / height, size[0] / width, size[1] / height))
        card.set_xticks([])
        card.set_yticks([])
        card.spines[:].set_color(LINES)
        draw_graph(card, size, widget["properties"], read_series(widget["properties"], begin, end), shown)
    figure.savefig(path, pil_kwargs={"optimize": True}, metadata={"Software": None})


def draw_graph(
    card: Axes,
    size: tuple[int, int],
    properties: dict[str, Any],
    lines: list[Series],
    period: tuple[datetime, datetime],
) -> None:
    """Draw a graph onto its card: title, axes, lines, and the legend below."""
    width, height = size
    card.text(14 / width, 1 - 24 / height, properties["title"], color=TEXT, fontsize=11.5, fontweight="bold")
    left = card.inset_axes((64 / width, 68 / height, 1 - 128 / width, 1 - 132 / height))
    axes = [(left, "left", 0.0)]
    if any(line.right for line in lines):
        axes.append((left.twinx(), "right", 1.0))
    for axis, side, x in axes:
        axis.patch.set_visible(False)
        for line in lines:
            if line.right == (side == "right"):
                times = matplotlib.dates.date2num(list(line.points))  # type: ignore[no-untyped-call]
                axis.plot(
                    times,
                    list(line.points.values()),
                    color=line.color,
                    linewidth=1.6,
                    marker="o",
                    markersize=3,
                    clip_on=False,
                )
        draw_axis(axis, properties.get("yAxis", {}).get(side, {}), side, x)
    left.set_xlim(*matplotlib.dates.date2num(period))  # type: ignore[no-untyped-call]
    left.xaxis.set_major_locator(matplotlib.dates.MinuteLocator())  # type: ignore[no-untyped-call]
    left.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    card.legend(
        handles=[matplotlib.patches.Patch(color=line.color, label=line.label) for line in lines],
        loc="lower left",
        bbox_to_anchor=(8 / width, 4 / height),
        ncols=len(lines),
        frameon=False,
        fontsize=9.5,
        labelcolor=TEXT,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.6,
    )


def draw_axis(axis: Axes, options: dict[str, Any], side: str, x: float) -> None:
    """Give a vertical axis its range, its label and its look."""
    low, high = axis.get_ylim()
    axis.set_ylim(options.get("min", low), options.get("max", high * 1.05 if high > 0 else 1))
    axis.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
    axis.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: shorten(value)))
    axis.tick_params(colors=FAINT, labelsize=9, length=0, pad=6)
    axis.spines[:].set_visible(False)
    axis.spines["bottom"].set_visible(True)
    axis.spines["bottom"].set_color(FAINT)
    if side == "left":
        axis.grid(axis="y", color=LINES)
        axis.set_axisbelow(True)
    axis.text(
        x,
        1.05,
        options.get("label", ""),
        transform=axis.transAxes,
        color=FAINT,
        fontsize=9.5,
        horizontalalignment=side,
    )


def shorten(value: float) -> str:
    """A number as CloudWatch writes it at an axis."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


if __name__ == "__main__":
    main()
