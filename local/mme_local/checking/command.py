"""The command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

from mme_local.checking.calls import Payload
from mme_local.checking.models import Models
from mme_local.checking.rules import Finding, Verdict
from mme_local.checking.run import ImageCheck
from mme_local.folder import lock_of, working_folder
from mme_local.logs import configure_logging
from mme_local.platform.artifacts import ArtifactError
from mme_local.servers.base import ServerError
from mme_local.servers.docker.client import Docker
from multi_model_endpoint.artifacts import InvalidModelError

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class _NothingChecked(click.ClickException):
    """Nothing can be said of the image."""

    exit_code = 2


def _variables(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if wrong := [name for name, separator, _ in pairs if not (name and separator)]:
        raise click.BadParameter(f"must be NAME=VALUE, got {wrong[0]!r}")
    return {name: value for name, _, value in pairs}


@click.command()
@click.argument("image")
@click.option(
    "--model",
    "sources",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A model that the image can load: a directory, or a .tar.gz file. May be given several times; each is loaded"
    " several times, too, under other names. Default: a folder with a small text file, for images that load anything.",
)
@click.option(
    "--payload",
    type=click.File("rb"),
    help="What to call the models with. Default: nothing, and only a 404 is wrong then.",
)
@click.option("--content-type", default="application/json", show_default=True, help="The payload's.")
@click.option(
    "--env",
    "environment",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_variables,
    help="A variable of the container.",
)
@click.option(
    "--memory",
    type=click.IntRange(min=6),
    metavar="MIB",
    help="The container's memory, to be less than all of up to 50 models need: the 507 is tested only with it.",
)
@click.option(
    "--timeout",
    default=240,
    show_default=True,
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="How long the container may take to its first answer to a ping.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a check.")
def check_image(
    image: str,
    sources: tuple[Path, ...],
    payload: BinaryIO | None,
    content_type: str,
    environment: dict[str, str],
    memory: int | None,
    timeout: int,
    as_json: bool,
) -> None:
    """Run IMAGE in Docker and hold it against SageMaker's contract for containers with many models.

    Each line on standard output is a check: "ok", "warns", "fails" or "not tested", and why. Below it is what SageMaker
    does with such a container, and the page on which AWS says what it expects. An image that is not on this machine is
    pulled. Nothing is left behind.

    \b
    Exit status:
      0  nothing fails; there may be warnings, and checks that were not tested
      1  something fails
      2  nothing was checked: wrong usage, no Docker, no such image or model
    """  # noqa: D301 - \b keeps click from wrapping the list
    configure_logging(as_json=as_json, verbose=False)
    verdicts: Counter[Verdict] = Counter()

    def report(finding: Finding) -> None:
        verdicts[finding.verdict] += 1
        click.echo(_json(finding) if as_json else _text(finding))

    called_with = None if payload is None else Payload(payload.read(), content_type)
    with working_folder(None) as folder:
        docker = Docker(os.environ, lock_of(folder), memory=None if memory is None else memory * 1024**2)
        models = Models(folder / "models", sources)

        async def check() -> str:
            await asyncio.to_thread(docker.remove_left_behind)
            architecture = await asyncio.to_thread(docker.run, "version", "--format", "{{.Server.Arch}}")
            found = await docker.ensure(image, architecture.strip(), folder)
            await _prepare(models)
            checks = ImageCheck(image, found, docker, folder, report)
            await checks.run(models, called_with, environment, timeout)
            return checks.output

        try:
            output = asyncio.run(_interruptible(check()))
        except (ServerError, ArtifactError, InvalidModelError) as error:
            raise _NothingChecked(str(error)) from error
    if not as_json:
        click.echo(", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict]))
    if output:
        click.echo(f"\nThe container's output:\n{output}", err=True)
    if verdicts[Verdict.FAILS]:
        raise SystemExit(1)


async def _prepare(models: Models) -> None:
    stop = threading.Event()
    try:
        await asyncio.to_thread(models.prepare, stop)
    finally:
        stop.set()


async def _interruptible(work: Coroutine[Any, Any, str]) -> str:
    """End in order at any signal that ends a program, with the status that tells which."""
    task = asyncio.create_task(work)
    received: list[int] = []

    def interrupt(number: int) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in _SIGNALS:
        # What is ignored stays so, as with nohup
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        raise SystemExit(128 + received[0]) from None


def _text(finding: Finding) -> str:
    detail = finding.detail and f": {finding.detail}"
    lines = [f"{finding.verdict:<12}{finding.check.name}{detail}"]
    if finding.verdict in (Verdict.FAILS, Verdict.WARNS):
        lines += [finding.check.sagemaker, finding.check.page]
    return f"\n{'':12}".join(lines)


def _json(finding: Finding) -> str:
    check = finding.check
    return json.dumps(
        {
            "check": check.name,
            "verdict": finding.verdict,
            "detail": finding.detail,
            "sagemaker": check.sagemaker,
            "page": check.page,
        }
    )
