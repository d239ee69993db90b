"""Commands for aliases."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC

import click
from botocore.exceptions import ClientError

from multi_model_endpoint.aliases import (
    Aliases,
    UnknownAliasError,
    all_aliases,
    check_alias,
    check_target_model,
    history,
    rollback,
)

from .naming import echo_table, explained, s3_client, store_named, time


def _name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        check_alias(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


_store = click.argument("store")
_alias = click.argument("alias", callback=_name)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def alias() -> None:
    """Stable names for target models, such as churn@prod.

    STORE is an s3://bucket/prefix/, or an endpoint's name. An alias moves at once and without a deployment; callers
    that use MultiModelClient follow within seconds.
    """


@alias.command("set")
@_store
@_alias
@click.argument("target_model")
def set_(store: str, alias: str, target_model: str) -> None:
    """Let ALIAS name TARGET_MODEL, which must be there.

    Fails when somebody else changes the alias at the same moment.
    """
    try:
        check_target_model(target_model)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="TARGET_MODEL") from None
    with explained():
        url, s3 = store_named(store), s3_client()
        try:
            s3.head_object(Bucket=url.bucket, Key=url.prefix + target_model)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "404":
                raise
            raise click.ClickException(f"there is no model {target_model!r} in {url}: push it first") from None
        before = Aliases(s3, url).move(alias, target_model)
    _say(alias, None if before is None else before.target_model, target_model)


@alias.command()
@_store
@_alias
def show(store: str, alias: str) -> None:
    """Print the target model that ALIAS names."""
    with explained():
        click.echo(Aliases(s3_client(), store_named(store)).get(alias).target_model)


@alias.command("list")
@_store
@_json
def list_(store: str, as_json: bool) -> None:
    """List all aliases with what they name."""
    with explained():
        found, problems = all_aliases(s3_client(), store_named(store))
    if as_json:
        click.echo(json.dumps({name: each.target_model for name, each in found.items()}, indent=2))
    else:
        echo_table(["ALIAS", "TARGET MODEL"], [[name, each.target_model] for name, each in found.items()])
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)


@alias.command("history")
@_store
@_alias
@click.option("--most", default=20, show_default=True, type=click.IntRange(min=1), help="How many of the newest.")
@_json
def history_(store: str, alias: str, most: int, as_json: bool) -> None:
    """List what ALIAS has named, the newest first.

    It goes back as far as the bucket's versions do. Who moved it, AWS CloudTrail knows.
    """
    with explained():
        found = list(history(s3_client(), store_named(store), alias, most))
    if as_json:
        lines = [
            {"target_model": each.target_model, "since": each.since.astimezone(UTC).isoformat(timespec="seconds")}
            for each in found
        ]
        click.echo(json.dumps(lines, indent=2))
    else:
        echo_table(["SINCE", "TARGET MODEL"], [[time(each.since), each.target_model or "(deleted)"] for each in found])


@alias.command("rollback")
@_store
@_alias
def rollback_(store: str, alias: str) -> None:
    """Let ALIAS name what it named before; a deleted one, what it named last.

    Needs a bucket with versions, as those that the constructs make.
    """
    with explained():
        url, s3 = store_named(store), s3_client()
        before: str | None = None
        with suppress(UnknownAliasError):
            before = Aliases(s3, url).get(alias).target_model
        _say(alias, before, rollback(s3, url, alias).target_model)


@alias.command()
@_store
@_alias
def delete(store: str, alias: str) -> None:
    """Delete ALIAS; the model stays.

    In a bucket with versions, rollback brings it back.
    """
    with explained():
        url, s3 = store_named(store), s3_client()
        aliases = Aliases(s3, url)
        before = aliases.get(alias)
        s3.delete_object(Bucket=url.bucket, Key=aliases.key(alias))
    click.echo(f"{alias}: {before.target_model} -> (deleted)", err=True)


def _say(alias: str, before: str | None, now: str) -> None:
    click.echo(f"{alias}: unchanged {now}" if before == now else f"{alias}: {before or '(new)'} -> {now}", err=True)
