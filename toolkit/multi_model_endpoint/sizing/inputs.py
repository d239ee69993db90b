"""What the command is given, as what it reckons with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import click
from rich.filesize import decimal

from multi_model_endpoint.artifacts import InvalidModelError
from multi_model_endpoint.instances import instance_types
from multi_model_endpoint.store_url import StoreUrl
from multi_model_endpoint.stores.listing import Model, models_in_store
from multi_model_endpoint.stores.naming import explained, s3_client
from multi_model_endpoint.traffic import some_payloads_in

from . import prices
from .assumptions import Assumptions
from .demand import Demand, SizedModel
from .estimate import GIB, Machine
from .measuring import NotMeasuredError, concluded, installed, sample
from .popularity import counted, zipf
from .report import digits
from .sources import sized
from .traces import InvalidTraceError, Trace, read_log_group, read_trace

_MOST_DOWNLOADED = 10 * 10**9  # bytes


def models_of(sources: Sequence[str]) -> dict[str, SizedModel]:
    """The models of sources by name."""

    def in_store(url: StoreUrl) -> list[Model]:
        return models_in_store(s3_client(), url)

    try:
        with explained():
            return sized(sources, in_store)
    except (InvalidModelError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="MODELS") from None


def calls_of(path: Path | None, log_group: str | None, hours: float) -> tuple[Trace, str] | None:
    """The calls that were made, and where that is known from; None without such."""
    try:
        if path is not None:
            return read_trace(path), path.name
        if log_group is not None:
            with explained():
                return read_log_group(boto3.client("logs"), log_group, time.time() - 3600 * hours), log_group
    except InvalidTraceError as error:
        raise click.UsageError(str(error)) from None
    return None


def demand_of(
    models: dict[str, SizedModel], rps: float | None, exponent: float | None, found: tuple[Trace, str] | None
) -> tuple[Demand, str]:
    """What is asked for, and where that is known from."""
    if found is None:
        if rps is None:
            raise click.UsageError("say how many calls there are: --rps, or --trace with times")
        exponent = 1.0 if exponent is None else exponent
        said = (
            f"{rps:g} calls a second (--rps), to models by Zipf's law with the exponent {exponent:g} (--zipf; --trace "
            "takes calls that were made), whatever a model's size, independent of each other."
        )
        return Demand(models, zipf(list(models), exponent), rps), said
    trace, where = found
    try:
        calls, unknown = trace.of(models)
    except InvalidTraceError as error:
        raise click.UsageError(str(error)) from None
    rate = rps or (trace.rate and trace.rate * len(calls) / len(trace.calls))
    if rate is None:
        raise click.UsageError("the calls of the trace have no times: say how many there are in a second by --rps")
    said = (
        f"{len(calls)} calls of {where} were replayed, {digits(rate)} a second, beginning with nothing in memory."
        + (f" {unknown} calls of other models were left out." if unknown else "")
    )
    return Demand(models, counted(calls, list(models)), rate, calls), said


def machines_of(
    names: Sequence[str], price: dict[str, float], memory: dict[str, float]
) -> tuple[list[Machine], str | None]:
    """Instance types with their prices, and why some of these are not known."""
    unpriced = [name for name in names if name not in price]
    found, why = prices.asked(unpriced) if unpriced else ({}, None)
    found |= price
    if why is None and (missing := [name for name in names if name not in found]):
        why = f"AWS names none for {', '.join(missing)}"
    try:
        return [
            Machine.of(
                name, instance_types().get(name), round(memory[name] * GIB) if name in memory else None, found.get(name)
            )
            for name in names
        ], why
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--instance") from None


def measured_of(
    demand: Demand,
    assumptions: Assumptions,
    number: int,
    image: str,
    *,
    payload: Path | None,
    payloads: Path | None,
    content_type: str | None,
) -> tuple[Demand, Assumptions, str]:
    """The same with what was measured, and how that was."""
    chosen = sample(list(demand.models.values()), number)
    try:
        bodies = some_payloads_in(
            payloads, [model.name for model in chosen], content_type=content_type, default=payload
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        measure = installed()
        with TemporaryDirectory(prefix="mme-size-") as folder:
            paths = _local(chosen, Path(folder))
            found = measure(image, paths, [bodies.get(model.name) for model in chosen])
    except NotMeasuredError as error:
        raise click.ClickException(f"nothing was measured: {error}") from None
    seen = {model.name: replace(model, measured=each.memory) for model, each in zip(chosen, found, strict=True)}
    said = f"measured of {len(seen)} models on this machine's server for {image}"
    return replace(demand, models={**demand.models, **seen}), concluded(assumptions, chosen, found), said


def _local(models: Sequence[SizedModel], folder: Path) -> list[Path]:
    """Where the models' files are; those of stores are downloaded."""
    size = sum(model.download for model in models if model.path is None)
    if size > _MOST_DOWNLOADED:
        raise NotMeasuredError(
            f"the sample must be at most {decimal(_MOST_DOWNLOADED)} to download, got {decimal(size)}: name a folder "
            "with some of the models instead of the store"
        )
    paths = []
    for number, model in enumerate(models):
        path = model.path
        if path is None:
            assert model.store is not None
            path = folder / f"{number}.tar.gz"
            with explained():
                s3_client().download_file(model.store.bucket, f"{model.store.prefix}{model.name}", str(path))
        paths.append(path)
    return paths
