"""``mme serve``."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
import uvicorn

from mme_local.folder import lock_of, working_folder
from mme_local.hosting.plane import Hosting, NoServers
from mme_local.logs import configure_logging
from mme_local.ministack.credentials import Credentials
from mme_local.ministack.gateway import ACCOUNT, REGION, Gateway, environment
from mme_local.ministack.http import Protocol
from mme_local.ministack.iam import role_credentials
from mme_local.ministack.node import prepare_node

if TYPE_CHECKING:
    from mme_local.servers.images import Servers

log = structlog.get_logger(__name__)

_SECONDS_TO_STOP = 20.0
_PARENT_POLL_SECONDS = 0.5


@click.command()
@click.option(
    "--port",
    default=4566,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port on 127.0.0.1; 0 picks a free one.",
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for working files, kept at the end. Default: a temporary folder, removed at the end. Nothing is"
    " read back from it: each start begins empty.",
)
@click.option(
    "--memory-budget",
    type=click.IntRange(min=1),
    metavar="MIB",
    help="Memory for the models of one instance, each counted as 1.2 times its files; beyond it, the least recently"
    " used are unloaded. Default: no limit but the model server's own.",
)
@click.option(
    "--instances",
    default=2,
    show_default=True,
    type=click.IntRange(min=1),
    help="Most model server processes of one variant, whatever its instance count says.",
)
@click.option(
    "--docker",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Which images run as they are, in Docker: those that no model server here stands in for, all, or none. Those"
    " that are not on this machine are pulled, as by `docker pull`.",
)
@click.option(
    "--docker-memory",
    type=click.IntRange(min=6),
    metavar="MIB",
    help="Memory of one container in Docker, which is killed beyond it. Default: no limit.",
)
@click.option(
    "--no-servers",
    is_flag=True,
    help="Start no model servers: everything deploys at once, and invocations answer 503.",
)
@click.option(
    "--enforce-iam",
    is_flag=True,
    help="Evaluate IAM policies: of callers, sagemaker:TargetModel included, and of execution roles, which must be able"
    " to read the models. The printed credentials may do everything; assume a role to try what it may.",
)
@click.option("--json", "as_json", is_flag=True, help="Log in JSON, one object a line.")
@click.option("--verbose", is_flag=True, help="Log what the emulated AWS services do, too.")
@click.option("--exit-with-parent", is_flag=True, help="Stop when the process that started this one is gone.")
def serve(
    port: int,
    root: Path | None,
    memory_budget: int | None,
    instances: int,
    docker: str,
    docker_memory: int | None,
    no_servers: bool,
    enforce_iam: bool,
    as_json: bool,
    verbose: bool,
    exit_with_parent: bool,
) -> None:
    """Answer as AWS on one loopback port until interrupted.

    The first line on standard output is a shell command: paste it, then run the AWS CLI, boto3 or the real `cdk
    bootstrap` and `cdk deploy`. Logs go to standard error. Everything is forgotten at the end.
    """
    configure_logging(as_json=as_json, verbose=verbose)
    users_environment = dict(os.environ)
    listener = _listen(port)
    parent = os.getppid() if exit_with_parent else None
    port = listener.getsockname()[1]
    credentials = Credentials.random()
    with working_folder(root) as folder:
        _set_environment(port, folder, credentials, enforce_iam)
        hosting: Hosting = NoServers()
        if not no_servers:
            servers = make_servers(docker, users_environment, folder, docker_memory)
            hosting = make_hosting(port, folder, servers, memory_budget, instances, enforce_iam)
        served = _serve(listener, hosting, credentials, parent, folder, verbose)
    sys.stdout.flush()
    sys.stderr.flush()
    # MiniStack's pool may hold a thread that waits for a Lambda for up to 15 minutes; a normal exit would join it
    os._exit(0 if served else 1)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise click.ClickException(f"port {port} cannot be used: {error.strerror}; choose another --port") from error
    # before anyone reads the port: a client that comes early waits in the queue
    listener.listen(1024)
    return listener


def _set_environment(port: int, folder: Path, credentials: Credentials, enforce_iam: bool) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    os.environ.update(environment(port, folder, credentials, enforce_iam=enforce_iam))
    tempfile.tempdir = str(folder / "tmp")
    prepare_node()


def _serve(
    listener: socket.socket,
    hosting: Hosting,
    credentials: Credentials,
    parent: int | None,
    folder: Path,
    verbose: bool,
) -> bool:
    port = listener.getsockname()[1]

    def announce() -> None:
        print(export_line(port, credentials), flush=True)
        log.info("serving", endpoint=f"http://127.0.0.1:{port}", folder=str(folder))

    server = _Server(
        uvicorn.Config(
            Gateway(hosting, credentials, announce),
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level=None if verbose else "warning",
            access_log=verbose,
            proxy_headers=False,
            # MiniStack writes these two itself, as the AWS service in question does
            server_header=False,
            date_header=False,
            # SDKs keep connections for a minute or so and would meet a closed one
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )
    if parent is not None:
        threading.Thread(target=_stop_with_parent, args=(server, parent), daemon=True).start()
    server.run(sockets=[listener])
    return server.started


def make_servers(docker: str, environment: Mapping[str, str], folder: Path, memory: int | None) -> Servers:
    """What runs images: model servers that stand in for them, or Docker, by the user's own settings of it."""
    from mme_local.servers.docker.client import Docker
    from mme_local.servers.images import Servers

    if docker == "never":
        return Servers(None)
    client = Docker(environment, lock_of(folder), memory=None if memory is None else memory * 1024**2)
    if docker == "always" and (problem := client.problem()) is not None:
        raise click.ClickException(f"--docker always needs Docker, but {problem}")
    threading.Thread(target=client.remove_left_behind, daemon=True).start()
    return Servers(client, always=docker == "always")


def make_hosting(
    port: int, folder: Path, servers: Servers, memory_budget: int | None, instances: int, enforce_iam: bool
) -> Hosting:
    """The data plane of ``serve``."""
    from mme_local.platform import LocalHosting

    return LocalHosting(
        f"http://127.0.0.1:{port}",
        folder / "hosting",
        memory_budget=None if memory_budget is None else memory_budget * 1024**2,
        max_instances=instances,
        server_factory=servers.make,
        image_labels=servers.labels,
        has_image=servers.has,
        role_credentials=role_credentials if enforce_iam else None,
    )


def export_line(port: int, credentials: Credentials) -> str:
    """The shell command that makes AWS clients talk to us."""
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
        "CDK_DOCKER": _docker_of_the_cdk(),
    }
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())


def _docker_of_the_cdk() -> str:
    """The path of ``mme-docker``, which a shell need not have on its ``PATH``: it was installed with this program."""
    folders = (str(Path(sys.argv[0]).parent), sysconfig.get_path("scripts"))
    found = shutil.which("mme-docker", path=os.pathsep.join(folders))
    return "mme-docker" if found is None else str(Path(found).absolute())


class _Server(uvicorn.Server):
    """Uvicorn, but a signal ends ``run`` normally: it raises the signal again before we could clean up."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes, and then wait for no thread.

        One may be waiting for a custom resource for an hour; ``asyncio.run`` would join it.
        """
        factory = self.config.get_loop_factory()
        loop = asyncio.new_event_loop() if factory is None else factory()
        loop.run_until_complete(self.serve(sockets))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        yield

    def _handle(self, number: int, frame: object) -> None:
        if not self.should_exit:
            _exit_at_deadline()
        self.should_exit = True


def _stop_with_parent(server: _Server, parent: int) -> None:
    idle = threading.Event()
    while os.getppid() == parent:
        idle.wait(_PARENT_POLL_SECONDS)
    _exit_at_deadline()
    server.should_exit = True


def _exit_at_deadline() -> None:
    def give_up() -> None:
        log.error("not stopped in time", seconds=_SECONDS_TO_STOP)
        os._exit(1)

    timer = threading.Timer(_SECONDS_TO_STOP, give_up)
    timer.daemon = True
    timer.start()
