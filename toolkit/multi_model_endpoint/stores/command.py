"""The commands."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import boto3
import click
from rich.filesize import decimal

from multi_model_endpoint.aliases import all_aliases

from .listing import Model, models_in_store
from .naming import echo_table, explained, s3_client, store_named, time
from .pruning import delete, endings_in_stacks, kept

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class _Age(click.ParamType[timedelta]):
    name = "age"

    def convert(
        self, value: str | timedelta, parameter: click.Parameter | None, context: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6})([hdw])", value)
        if match is None:
            self.fail(f"must be a number of hours, days or weeks, such as 12h, 30d or 4w, got {value!r}")
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command()
@click.argument("store")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ls(store: str, as_json: bool) -> None:
    """List the models of STORE: an s3://bucket/prefix/, or an endpoint's name.

    Each line has a target model, its size, when it was uploaded, and its aliases.
    """
    with explained():
        url, s3 = store_named(store), s3_client()
        models = models_in_store(s3, url)
        aliases, problems = all_aliases(s3, url)
    of = defaultdict(list)
    for name, alias in aliases.items():
        of[alias.target_model].append(name)
    if as_json:
        click.echo(json.dumps([_record(model) | {"aliases": of[model.target_model]} for model in models], indent=2))
    else:
        rows = [[*_columns(model), " ".join(of[model.target_model])] for model in models]
        echo_table(["TARGET MODEL", "SIZE", "UPLOADED", "ALIASES"], rows)
    click.echo(f"{len(models)} models, {_size(models)}", err=True)
    there = {model.target_model for model in models}
    for name, alias in aliases.items():
        if alias.target_model not in there:
            click.echo(f"warning: alias {name!r} names {alias.target_model}, which is not there", err=True)
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)


@click.command()
@click.argument("store")
@click.option(
    "--keep", default=3, show_default=True, type=click.IntRange(min=0), help="How many of the newest of each name stay."
)
@click.option(
    "--older-than", default="30d", show_default=True, type=_Age(), help="What is younger stays; such as 12h, 30d or 4w."
)
@click.option(
    "--stack",
    "stacks",
    multiple=True,
    help="A stack whose models stay; may be repeated. Default: all of the account in the region.",
)
@click.option("--yes", is_flag=True, help="Delete. Without it, nothing is.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def prune(store: str, keep: int, older_than: timedelta, stacks: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete models of STORE that nobody needs: an s3://bucket/prefix/, or an endpoint's name.

    What an alias names stays, what a stack names, what is young, the newest of each name, and what is not named by its
    content. Nothing is deleted without --yes. In a bucket with versions, as those that the constructs make, what was
    deleted can be had back.

    The exit status is 1 when something could not be deleted.
    """
    with explained():
        url, s3 = store_named(store), s3_client()
        models = models_in_store(s3, url)
        endings = endings_in_stacks(boto3.client("cloudformation"), stacks)
        versioned = s3.get_bucket_versioning(Bucket=url.bucket).get("Status") == "Enabled"
        # last, so that an alias that is moved meanwhile counts
        aliases, problems = all_aliases(s3, url)
        if problems:
            lines = "".join(f"\n  - {problem}" for problem in problems)
            raise click.ClickException(f"nothing was deleted, since what these aliases name is not known:{lines}")
        before = datetime.now(UTC) - older_than
        reasons = kept(models, keep=keep, before=before, aliases=aliases, endings=endings)
        going = [model for model in models if model.target_model not in reasons]
        failures = delete(s3, url, [model.target_model for model in going]) if yes else {}
    gone = [model for model in going if model.target_model not in failures]
    if as_json:
        found = {"deleted": yes, "models": [_record(model) for model in gone], "kept": reasons, "failed": failures}
        click.echo(json.dumps(found, indent=2))
    else:
        echo_table(["TARGET MODEL", "SIZE", "UPLOADED"], [_columns(model) for model in gone])
    what = f"{len(gone)} of {len(models)} models, {_size(gone)}"
    click.echo(f"{'deleted' if yes else 'would delete'} {what}", err=True)
    for reason, count in sorted(Counter(_kind(reason) for reason in reasons.values()).items()):
        click.echo(f"kept {count}: {reason}", err=True)
    if going and not versioned:
        click.echo(f"bucket {url.bucket} has no versions: what is deleted can't be had back", err=True)
    if going and not yes:
        click.echo("run it again with --yes to delete them", err=True)
    if failures:
        lines = "".join(f"\n  - {target}: {why}" for target, why in sorted(failures.items()))
        raise click.ClickException(f"{len(failures)} of {len(going)} models were not deleted:{lines}")


def _record(model: Model) -> dict[str, object]:
    return {
        "name": model.name,
        "target_model": model.target_model,
        "size": model.size,
        "uploaded": model.modified.astimezone(UTC).isoformat(timespec="seconds"),
    }


def _columns(model: Model) -> list[str]:
    return [model.target_model, decimal(model.size), time(model.modified)]


def _size(models: Sequence[Model]) -> str:
    return decimal(sum(model.size for model in models))


def _kind(reason: str) -> str:
    return "named by an alias" if reason.startswith("alias ") else reason
