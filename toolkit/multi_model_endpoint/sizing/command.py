"""The command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from multi_model_endpoint.stores.naming import echo_table

from .assumptions import Assumptions
from .estimate import Estimate, Machine, Sizing
from .inputs import calls_of, demand_of, machines_of, measured_of, models_of
from .page import page
from .report import HEADER, Report, construct, gib

CPU_TYPES = (
    *("ml.c6i.2xlarge", "ml.c6i.4xlarge", "ml.m6i.large", "ml.m6i.xlarge", "ml.m6i.2xlarge", "ml.m6i.4xlarge"),
    *("ml.m6i.8xlarge", "ml.r6i.large", "ml.r6i.xlarge", "ml.r6i.2xlarge", "ml.r6i.4xlarge", "ml.r6i.8xlarge"),
)
GPU_TYPES = tuple(
    f"ml.{family}.{size}xlarge" for family in ("g4dn", "g5") for size in ("", "2", "4", "8", "16")
)  # those that AWS names for multi-model endpoints and still offers


def _figures(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, float]:
    figures = {}
    for value in values:
        name, _, figure = value.partition("=")
        try:
            figures[name] = float(figure)
        except ValueError:
            figures[name] = 0.0
        if not name or not 0 < figures[name] < float("inf"):
            raise click.BadParameter(f"must be {parameter.metavar} with a number above 0, got {value!r}")
    return figures


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--rps", type=_ABOVE_ZERO, help="Calls a second, of all models. Default: as in the trace.")
@click.option(
    "--zipf", "exponent", type=click.FloatRange(0, 5), help="How skewed the calls are, by Zipf's law. Default: 1."
)
@click.option(
    "--trace",
    type=_FILE,
    help="Calls to replay: a CSV file with the columns time and model, or a log with the client's lines.",
)
@click.option("--log-group", help="Calls to replay: the client's lines in this group of CloudWatch Logs.")
@click.option("--hours", default=24.0, show_default=True, type=_ABOVE_ZERO, help="How far back to read --log-group.")
@click.option(
    "--measure", type=click.IntRange(min=1), metavar="N",
    help="Load so many of the models on the real server of --image, here, and see what they take of it.",
)  # fmt: skip
@click.option("--image", help="The image whose server measures, such as the URI of AWS's XGBoost image.")
@click.option("--payload", type=_FILE, help="What to call measured models with that have no payload of their own.")
@click.option(
    "--payloads",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a payload for each model, called as the model, such as tenant_a/churn.csv.",
)
@click.option("--content-type", help="Of the payloads. Default: guessed by their names.")
@click.option("--instance", "instances", multiple=True, metavar="TYPE", help="A type to look at; may be repeated.")
@click.option(
    "--count", "counts", multiple=True, type=click.IntRange(min=1),
    help="How many instances to look at, instead of the fewest that are enough; may be repeated.",
)  # fmt: skip
@click.option("--gpu", is_flag=True, help="Look at GPU types, without --instance.")
@click.option("--price", multiple=True, metavar="TYPE=USD_PER_HOUR", callback=_figures, help="What a type costs.")
@click.option("--memory", multiple=True, metavar="TYPE=GIB", callback=_figures, help="What memory a type has.")
@click.option(
    "--reserve", default=20.0, show_default=True, type=click.FloatRange(0, 99), metavar="PERCENT",
    help="Of an instance's memory, for all but models.",
)  # fmt: skip
@click.option(
    "--memory-factor", default=1.2, show_default=True, type=_ABOVE_ZERO,
    help="How many times its files' size a model takes in memory.",
)  # fmt: skip
@click.option(
    "--overhead", default=0.0, show_default=True, type=click.FloatRange(min=0), metavar="MIB",
    help="What each model takes in memory beside, such as a process of its own.",
)  # fmt: skip
@click.option(
    "--bandwidth", default=100.0, show_default=True, type=_ABOVE_ZERO, metavar="MB/S", help="Of downloads from S3."
)
@click.option(
    "--load-time", default=1.0, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
    help="What the server takes to load a model.",
)  # fmt: skip
@click.option(
    "--unload-time", default=0.0, show_default=True, type=click.FloatRange(min=0), metavar="SECONDS",
    help="What the server takes to unload one, for which a load waits when memory is full.",
)  # fmt: skip
@click.option("--cpu-ms", type=_ABOVE_ZERO, metavar="MS", help="The processor time of a call, in milliseconds.")
@click.option(
    "--busy", default=50.0, show_default=True, type=click.FloatRange(1, 100), metavar="PERCENT",
    help="How busy processors may be.",
)  # fmt: skip
@click.option(
    "--hit-ratio", default=0.95, show_default=True, type=click.FloatRange(0, 1),
    help="The share of calls that are to find their model in memory.",
)  # fmt: skip
@click.option("--min-instances", default=2, show_default=True, type=click.IntRange(min=1), help="At the least.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--html",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="Write a page with charts, which needs nothing but itself.",
)
def size(
    models: tuple[str, ...],
    rps: float | None,
    exponent: float | None,
    trace: Path | None,
    log_group: str | None,
    hours: float,
    measure: int | None,
    image: str | None,
    payload: Path | None,
    payloads: Path | None,
    content_type: str | None,
    instances: tuple[str, ...],
    counts: tuple[int, ...],
    gpu: bool,
    price: dict[str, float],
    memory: dict[str, float],
    cpu_ms: float | None,
    as_json: bool,
    html: IO[str] | None,
    **figures: float,
) -> None:
    """Say which instances MODELS need, how many, and at what price.

    MODELS are folders of models, one per sub-folder or .tar.gz file; archives; or stores, s3://bucket/prefix/.

    Of each instance type it is said what the fewest instances give that are enough. FOR MODELS is the memory that each
    has for them, FIT how many are in the memory of all at once, HITS the share of calls that find theirs there, COLD
    how long a call waits that has its model loaded, CPU how busy the processors are. What is assumed comes below.

    Prices are of the region that is set, from AWS's Pricing API, which takes pricing:GetProducts; or as given.

    The exit status is 1 when none is enough.
    """
    assumptions = Assumptions(
        reserve=figures["reserve"] / 100,
        memory_factor=figures["memory_factor"],
        overhead=round(figures["overhead"] * 1024**2),
        bandwidth=figures["bandwidth"] * 1e6,
        load_seconds=figures["load_time"],
        unload_seconds=figures["unload_time"],
        cpu_seconds=None if cpu_ms is None else cpu_ms / 1000,
        busy=figures["busy"] / 100,
        hit_ratio=figures["hit_ratio"],
        least=int(figures["min_instances"]),
    )
    if sum(given is not None for given in (exponent, trace, log_group)) > 1:
        raise click.UsageError("--zipf, --trace and --log-group all say which models are called: leave all but one out")
    if (measure is None) != (image is None):
        raise click.UsageError("--measure and --image go together: a server loads the models")
    demand, popularity = demand_of(models_of(models), rps, exponent, calls_of(trace, log_group, hours))
    measured = None
    if measure is not None and image is not None:
        demand, assumptions, measured = measured_of(
            demand, assumptions, measure, image, payload=payload, payloads=payloads, content_type=content_type
        )
    names = list(dict.fromkeys(instances)) or list(GPU_TYPES if gpu else CPU_TYPES)
    machines, unpriced = machines_of(names, price, memory)
    sizing = Sizing(demand, assumptions)
    report = _report(sizing, machines, counts, popularity, unpriced, measured)
    if html is not None:
        html.write(page(report, sizing))
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        _print(report)
    if report.best is None:
        raise SystemExit(1)


def _report(
    sizing: Sizing,
    machines: Sequence[Machine],
    counts: Sequence[int],
    popularity: str,
    unpriced: str | None,
    measured: str | None,
) -> Report:
    assumptions = sizing.assumptions
    estimates, refused = [], {}
    for machine in machines:
        estimates += [sizing.estimate(machine, count) for count in dict.fromkeys(counts)]
        if counts:
            continue
        found = sizing.smallest(machine)
        if found is None:
            refused[machine.name] = _why(sizing.estimate(machine, assumptions.least))
        else:
            estimates.append(found)
    estimates.sort(key=_costs)
    return Report(sizing.demand, assumptions, estimates, refused, popularity, measured, unpriced)


def _costs(each: Estimate) -> tuple[Any, ...]:
    price = each.monthly
    return not each.meets, price is None, price or 0, each.machine.memory * each.count, each.count


def _why(least: Estimate) -> str:
    if least.too_big:
        return f"{least.too_big} models need more than its memory, {gib(least.model_memory)}, each"
    if least.first is not None:
        return f"{least.first:.2%} of the trace's calls are the first of their model, for which there is no help"
    return "a thousand are not enough"


def _print(report: Report) -> None:
    echo_table(HEADER, report.rows())
    for name, why in report.refused.items():
        click.echo(f"{name}: none is enough: {why}")
    click.echo("\nAssumed:")
    for sentence in report.assumed():
        click.echo(f"- {sentence}")
    if report.best is not None:
        click.echo(f"\nFor your stack:\n\n{construct(report.best, report.assumptions)}")
