"""The command."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import boto3
import click

from multi_model_endpoint.aliases import all_aliases
from multi_model_endpoint.calling import MultiModelClient
from multi_model_endpoint.store_url import StoreUrl
from multi_model_endpoint.stores.listing import models_in_store
from multi_model_endpoint.stores.naming import echo_table, explained, s3_client, store_named

from .deployed import Deployed, NotTestableError
from .outcome import Report, found_model
from .page import page
from .plan import Plan
from .popularity import Popularity
from .text import HEADER, arguments, rows, slowest, summary
from .warming import FirstCallError, warm_up

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NOTHING_HELD = 3
_LOWER_BOUND = 4


@click.command()
@click.argument("endpoint")
@click.option(
    "--p99-ms", required=True, type=click.FloatRange(min=0, min_open=True), help="What 99 % of the calls may take."
)
@click.option(
    "--errors",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 100),
    help="How many percent of the calls may fail.",
)
@click.option("--payload", type=_FILE, help="What to send to models that have no payload of their own.")
@click.option(
    "--payloads",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a payload for each model, called as the model, such as tenant_a/churn.csv.",
)
@click.option("--content-type", help="Of the payloads. Default: guessed by their names.")
@click.option("--models", type=_FILE, help="A CSV file of models or aliases and, if you like, weights. Default: all.")
@click.option("--aliases", is_flag=True, help="Call the store's aliases rather than its models.")
@click.option(
    "--zipf",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How much more popular the first models are, where there are no weights; with 0 all are the same.",
)
@click.option("--variant", help="The production variant, where there are several.")
@click.option(
    "--start-rps",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="The first rate: calls a second of the whole endpoint.",
)
@click.option("--max-rps", default=100_000.0, show_default=True, type=float, help="The highest rate to try.")
@click.option(
    "--step-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="How long each rate is measured. Default: 20, or ten times --p99-ms.",
)
@click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(min=1), help="Locust's workers on this machine."
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with the curve.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def load(
    context: click.Context,
    endpoint: str,
    p99_ms: float,
    errors: float,
    payload: Path | None,
    payloads: Path | None,
    content_type: str | None,
    models: Path | None,
    aliases: bool,
    zipf: float,
    variant: str | None,
    start_rps: float,
    max_rps: float,
    step_seconds: float | None,
    processes: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Find how many requests a second one instance of ENDPOINT takes.

    Calls each model once, and then all of them at random times and at a growing rate, until 1 % of the calls take
    longer than --p99-ms, or more than --errors fail. Exits with 3 if no rate held, and with 4 if the figure is a lower
    bound or worth nothing: this machine was too slow, or instances came and went.

    It calls the models for real, at the endpoint's price.
    """
    if find_spec("locust") is None:
        raise click.ClickException("load needs Locust: pip install 'multi-model-endpoint[load]' brings it")
    if max_rps < start_rps:
        raise click.UsageError(f"--max-rps must be at least --start-rps, {start_rps:g}, got {max_rps:g}")
    session = boto3.session.Session()
    with explained():
        try:
            before = Deployed.find(session, endpoint, variant)
        except NotTestableError as error:
            raise click.ClickException(str(error)) from None
        store = store_named(endpoint)
        popularity = _popularity(store, models, aliases=aliases, zipf=zipf)
        for warning in before.warnings(session):
            click.echo(f"warning: {warning}", err=True)
    plan = Plan(
        endpoint=endpoint,
        store=str(store),
        variant=before.variant,
        weights=popularity.weights,
        payload=None if payload is None else str(payload.absolute()),
        payloads=None if payloads is None else str(payloads.absolute()),
        content_type=content_type,
        p99_ms=p99_ms,
        errors_percent=errors,
        start_rps=start_rps,
        max_rps=max_rps,
        step_seconds=step_seconds or max(20.0, p99_ms / 100),
    )
    try:
        bodies = plan.read_payloads()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    click.echo(f"{before.instances} x {before.instance_type}, {len(bodies)} models: calling each once", err=True)
    client = MultiModelClient(endpoint, models=str(store), session=session)
    try:
        first = warm_up(client, list(popularity.weights), bodies, before.variant)
    except FirstCallError as error:
        raise click.ClickException(str(error)) from None
    begin = datetime.now(UTC)
    result = plan.run(processes)
    if result is None:
        raise click.ClickException("the test was ended before it had found anything")
    held = result["held_rps"]
    report: Report = {
        **result,
        "first_calls": {model: found_model(cell) for model, cell in first.items()},
        "endpoint": endpoint,
        "variant": before.variant,
        "instance_type": before.instance_type,
        "instances": before.instances,
        "max_requests_per_second": held and held / before.instances,
        "cache_hit_percent": before.cache_hit_percent(session, begin, datetime.now(UTC) + timedelta(minutes=1)),
    }
    _show(report, as_json=as_json)
    if html is not None:
        html.write_text(page(report), encoding="utf-8")
    with explained():
        change = before.change(session)
    if change is not None:
        click.echo(f"warning: {change}: the figure is worth nothing", err=True)
        context.exit(_LOWER_BOUND)
    if result["ended_by"] == "generator":
        click.echo("warning: this machine was too slow, so the endpoint may take more: see --processes", err=True)
        context.exit(_LOWER_BOUND)
    if held is None:
        click.echo("start lower: --start-rps", err=True)
        context.exit(_NOTHING_HELD)


def _popularity(store: StoreUrl, path: Path | None, *, aliases: bool, zipf: float) -> Popularity:
    if path is not None:
        return _listed(path, zipf)
    s3 = s3_client()
    names = list(all_aliases(s3, store)[0]) if aliases else [each.target_model for each in models_in_store(s3, store)]
    if not names:
        raise click.ClickException(f"{store} has no {'aliases' if aliases else 'models'}")
    return Popularity.zipf(names, zipf)


def _listed(path: Path, zipf: float) -> Popularity:
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.reader(file) if line]
    try:
        if all(len(line) == 1 for line in lines):
            return Popularity.zipf([name for (name,) in lines], zipf)
        return Popularity({name: float(weight) for name, weight in lines})
    except ValueError as error:
        raise click.BadParameter(
            f"each line must be a model, or each a model and a weight: {error}", param_hint="--models"
        ) from None


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(summary(report))
    for title, models in (("first calls", report["first_calls"]), ("slowest models", report["models"])):
        if models:
            click.echo(f"\n{title}:")
            echo_table(HEADER, rows(slowest(models)))
    if report["cache_hit_percent"] is not None:
        click.echo(f"\n{report['cache_hit_percent']:.1f} % of the calls found their model loaded, says CloudWatch")
    if (rate := report["max_requests_per_second"]) is not None:
        click.echo(f"\none of {report['instances']} instances takes {rate:g} requests a second:\n\n{arguments(rate)}")
