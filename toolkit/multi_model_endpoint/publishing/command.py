"""The command."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from multi_model_endpoint.aliases import Aliases, check_alias
from multi_model_endpoint.artifacts import InvalidModelError, packed
from multi_model_endpoint.artifacts.errors import invalid
from multi_model_endpoint.registries import fetched, is_mlflow
from multi_model_endpoint.store_url import StoreUrl

from .plan import Planned, find_sources, plan
from .upload import Uploader

FRAMEWORKS = {
    "pytorch": "pytorch",
    "sklearn": "sklearn",
    "tensorflow": "tensorflow",
    "triton": "sagemaker-tritonserver",
    "xgboost": "xgboost",
}
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def _destination(context: click.Context, parameter: click.Parameter, value: str) -> StoreUrl:
    try:
        return StoreUrl.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _aliases(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        for value in values:
            check_alias(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return values


@contextmanager
def _interruptible() -> Iterator[None]:
    """End in order at any signal that ends a program, so that no file is left, and with the status that tells which."""
    received = signal.SIGINT

    def interrupt(number: int, _: FrameType | None) -> None:
        nonlocal received
        received = signal.Signals(number)
        raise KeyboardInterrupt

    # What is ignored stays so, as with nohup
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    except KeyboardInterrupt:
        click.echo("interrupted: run the same command again to go on", err=True)
        raise SystemExit(128 + received) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("destination", metavar="S3_URL", callback=_destination)
@click.option("--name", help="What to call the one model. Default: like its directory or archive.")
@click.option("--folder", help="What to put before the names, as tenant_a in tenant_a/resnet.")
@click.option("--each", is_flag=True, help="Each SOURCE is a folder of models: one per sub-folder or .tar.gz file.")
@click.option(
    "--framework",
    type=click.Choice([*FRAMEWORKS]),
    help="Check the models' layouts as this framework's image loads them. Default: no check. An MLflow model is packed "
    "for it; default: by the model's flavours.",
)
@click.option(
    "--jobs", default=4, show_default=True, type=click.IntRange(min=1), help="How many models to upload at a time."
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    callback=_aliases,
    help="What the one model is called from then on; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be uploaded, and upload nothing.")
@_interruptible()
def push(
    sources: tuple[str, ...],
    destination: StoreUrl,
    name: str | None,
    folder: str | None,
    each: bool,
    framework: str | None,
    jobs: int,
    aliases: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Upload models under S3_URL, s3://bucket/prefix/, named as the constructs' add_model names them.

    A SOURCE is a model's directory or .tar.gz file, or an MLflow model: mlflow:models:/churn@champion. What is there
    already is neither uploaded again nor overwritten; an interrupted push goes on where it was when it is run again.
    Credentials, region and endpoint are found as the AWS CLI finds them, so with the variables that serve prints it
    works on the local endpoint.

    The target models are printed on standard output, one a line; everything else goes to standard error. The exit
    status is 1 when something was not uploaded, and then only what is there is printed. Aliases are set last, and only
    when the model is there.
    """
    for option, given in (("--name", name is not None), ("--alias", bool(aliases))):
        if given and (each or len(sources) > 1):
            raise click.UsageError(f"{option} is for a single model")
    if each and any(map(is_mlflow, sources)):
        raise click.UsageError("--each is for folders of models, not for MLflow's")
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    try:
        local, frameworks = _local(sources, framework, console)
        models, warnings = plan(
            find_sources(local, name=name, folder=folder, each=each),
            destination,
            lambda path: FRAMEWORKS.get(frameworks.get(path, framework) or ""),
        )
    except InvalidModelError as error:
        lines = "".join(f"\n  - {problem}" for problem in error.problems)
        raise click.ClickException(f"nothing was uploaded:{lines}") from None
    for warning in warnings:
        console.print(f"warning: {warning}")
    with _explained(destination):
        there, failures = _push(models, destination, jobs, dry_run, console)
    for model in models:
        if model.target_model in there or dry_run:
            click.echo(model.target_model)
    if failures:
        lines = "".join(f"\n  - {failure}" for failure in failures)
        raise click.ClickException(f"{len(failures)} of {len(models)} models were not uploaded:{lines}")
    if dry_run or not aliases:
        return
    store = Aliases(boto3.client("s3"), destination)
    for alias in aliases:
        try:
            before = store.move(alias, models[0].target_model)
        except (BotoCoreError, ClientError) as error:
            raise click.ClickException(f"alias {alias!r} was not set: {_words(error, destination)}") from None
        console.print(f"alias {alias}: {before.target_model if before else '(new)'} -> {models[0].target_model}")


def _local(sources: Sequence[str], framework: str | None, console: Console) -> tuple[list[Path], dict[Path, str]]:
    """Where the sources are on this machine until the command ends, and the frameworks that some were packed for."""
    paths, frameworks = [], {}
    for source in sources:
        path = Path(source)
        if is_mlflow(source):
            model = click.get_current_context().with_resource(fetched(source, framework))
            for warning in model.warnings:
                console.print(f"warning: {warning}")
            path = model.path
            frameworks[path] = model.framework
        paths.append(path)
    return paths, frameworks


def _push(
    models: Sequence[Planned], destination: StoreUrl, jobs: int, dry_run: bool, console: Console
) -> tuple[set[str], list[str]]:
    """Upload what is not there, and say what is there then and what failed."""
    client = boto3.client("s3", config=Config(max_pool_connections=2 * jobs + 2))
    with ThreadPoolExecutor(jobs) as parts:
        uploader = Uploader(client, destination, parts)
        there = uploader.existing()
        waiting = [model for model in models if model.target_model not in there]
        for model in models:
            if model.target_model in there:
                console.print(f"unchanged {model.target_model}")
            elif dry_run:
                console.print(f"would upload {model.target_model}")
        if dry_run or not waiting:
            return there, []
        failures = []
        futures: dict[Future[None], Planned] = {}
        with _Progress(console) as progress, ThreadPoolExecutor(jobs) as pool:
            try:
                futures.update((pool.submit(progress.upload, uploader, model), model) for model in waiting)
                for future in as_completed(futures):
                    target = futures[future].target_model
                    if failure := _failure(future, destination):
                        failures.append(f"{target}: {failure}")
                    else:
                        there.add(target)
            except KeyboardInterrupt:
                uploader.stop()
                for future in futures:
                    future.cancel()
                raise
    return there, sorted(failures)


class _Progress(Progress):
    """A bar for each upload that is under way, and a line for each that is done."""

    def __init__(self, console: Console) -> None:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        super().__init__(
            TextColumn("{task.description}"), *columns, console=console, transient=True, disable=not console.is_terminal
        )

    def upload(self, uploader: Uploader, model: Planned) -> None:
        task = self.add_task(f"packing {model.target_model}", total=None)

        def step(done: int, total: int) -> None:
            uploader.check()
            self.update(task, advance=done, total=total)

        try:
            with packed(model.source, step) as artifact:
                if artifact.digest != model.digest:
                    raise invalid(
                        "changedWhilePacked",
                        f"'{model.source}' has changed since it was checked: wait until it is written, and push again",
                    )
                size = artifact.path.stat().st_size
                self.update(task, description=model.target_model, completed=0, total=size)
                uploaded = uploader.upload(artifact.path, model.target_model, lambda done: self.advance(task, done))
            self.console.print(f"uploaded {model.target_model}" if uploaded else f"unchanged {model.target_model}")
        finally:
            self.remove_task(task)


def _failure(future: Future[None], destination: StoreUrl) -> str | None:
    try:
        future.result()
    except (BotoCoreError, ClientError, OSError, InvalidModelError) as error:
        return _words(error, destination)
    return None


@contextmanager
def _explained(destination: StoreUrl) -> Iterator[None]:
    """Turn what keeps the whole push from working into one line."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"nothing was uploaded: {_words(error, destination)}") from None


def _words(error: Exception, destination: StoreUrl) -> str:
    if not isinstance(error, ClientError):
        return str(error)
    code = error.response.get("Error", {}).get("Code", "")
    if code == "NoSuchBucket":
        return f"there is no bucket {destination.bucket!r}"
    if code in ("AccessDenied", "403"):
        return (
            f"{error.operation_name} is not allowed on s3://{destination.bucket}/{destination.prefix}: "
            "ModelStore.grant_publish gives the permissions, also of a KMS key"
        )
    return str(error)
