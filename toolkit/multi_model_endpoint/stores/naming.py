"""What the commands share: how a store is named, and how they answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from multi_model_endpoint.aliases import AT_ONCE
from multi_model_endpoint.store_url import StoreUrl

from .listing import NoStoreError, store_of_endpoint

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


def store_named(store: str) -> StoreUrl:
    """The store at an S3 URL, or of an endpoint."""
    try:
        return StoreUrl.parse(store) if "://" in store else store_of_endpoint(boto3.client("sagemaker"), store)
    except (ValueError, NoStoreError) as error:
        raise click.BadParameter(str(error), param_hint="STORE") from None


def s3_client() -> S3Client:
    """A client with as many connections as aliases are read at once."""
    return boto3.client("s3", config=Config(max_pool_connections=AT_ONCE))


@contextmanager
def explained() -> Iterator[None]:
    """Turn what AWS refuses into one line."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from None


def time(moment: datetime) -> str:
    """A moment of the user's time zone, to the minute."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns, with nothing cut off."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
