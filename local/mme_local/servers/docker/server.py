"""One container of the image that the endpoint names, under SageMaker's contract."""

from __future__ import annotations

import ipaddress
import secrets
import shlex
import socket
from pathlib import Path

from mme_local.hosting.images import label_problem
from mme_local.hosting.spec import SAFE_PORTS, ContainerSpec
from mme_local.servers.base import ServerError, UnsupportedImage
from mme_local.servers.contract import HttpModelServer
from mme_local.servers.docker.client import Docker
from mme_local.servers.docker.leftovers import IDENTITY
from mme_local.servers.process import PORT, Launch

_BRIDGE = "com.docker.network.bridge."
_CODE = "SAGEMAKER_SUBMIT_DIRECTORY"
_MODELS, _MODEL, _CODE_FOLDER = Path("/opt/ml/models"), Path("/opt/ml/model"), Path("/opt/ml/code")
_LOST_RACES = ("Pool overlaps", "port is already allocated", "address already in use")
_ATTEMPTS = 5


class DockerServer(HttpModelServer):
    """A container, in a network of its own.

    Where the daemon runs on this very machine, no port of it is published: its address is one of two million, which
    nobody is told. Web pages and other users of the machine would have to guess it.

    Args:
        container: The container.
        work_dir: Where its log and its id are.
        docker: Runs it.
        no_stand_in: Why no other server runs it where Docker does not answer.
    """

    def __init__(
        self, container: ContainerSpec, work_dir: Path, docker: Docker, *, no_stand_in: str | None = None
    ) -> None:
        super().__init__(container, work_dir)
        self.title = f"The container of image {container.image}"
        self._docker = docker
        self._no_stand_in = no_stand_in
        self._sends_target_model = container.multi_model
        self._port = container.port or PORT
        self._files: Path | None = None
        self._name = ""

    async def start(self, timeout: float, files: Path | None = None) -> None:  # noqa: ASYNC109 - until the first ping
        """See ``ContainerServer``; an image that is not on this machine is pulled before the time runs.

        Raises:
            UnsupportedImage: Docker does not answer, and no other server runs the image.
        """
        if self._no_stand_in is not None and (problem := await self._docker.ask(self._docker.problem)) is not None:
            raise UnsupportedImage(f"{self._no_stand_in}; where Docker answers, it runs as it is, but {problem}")
        self._files = files
        self.work_dir.mkdir(parents=True, exist_ok=True)
        await self._check_image()
        await super().start(timeout)

    async def _check_image(self) -> None:
        spec = self.container
        image = await self._docker.ensure(spec.image, spec.architecture, self.work_dir)
        pipeline = spec.port is not None
        problem = label_problem(spec.image, image.labels, multi_model=spec.multi_model, pipeline=pipeline)
        if problem is not None:
            raise ServerError(problem)
        if image.architecture != spec.architecture:
            raise ServerError(
                f"CannotStartContainerError: image {spec.image} is for {image.architecture}, the instance type's "
                f"processors are {spec.architecture}: build it with `docker build --platform linux/{spec.architecture}`"
            )

    async def _start_once(self, deadline: float) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                return await super()._start_once(deadline)
            except ServerError as error:
                if attempt == _ATTEMPTS - 1 or not any(text in str(error) for text in _LOST_RACES):
                    raise
                await self.stop()

    async def _is_up(self) -> bool:
        """See ``HttpModelServer``; until it runs, whoever has taken its port before may answer."""
        if not await super()._is_up():
            return False
        form = ["--format", "{{.State.Running}}"]
        try:
            running = await self._docker.ask(self._docker.run, "container", "inspect", *form, "--", self._name)
        except ServerError:  # it is not even created
            return False
        return running.strip() == "true"

    def _prepare(self) -> Launch:
        docker, near = self._docker, self._docker.daemon.near
        name = self._name = f"mme-local-{secrets.token_hex(8)}"
        identity = self.work_dir / IDENTITY
        identity.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        subnet = ipaddress.ip_network((0x0A000000 | secrets.randbits(21) << 3, 29))
        own = str(subnet[2])
        address = (own, self._port) if near else ("127.0.0.1", _free_port())

        network = ["network", "create", "--label", docker.label, "--subnet", str(subnet)]
        run = ["run", "--name", name, "--label", docker.label, "--cidfile", str(identity), "--pull", "never"]
        # we have its output, and let no daemon fill the disk with it
        run += ["--log-driver", "none", "--network", name, "--ip", own]
        if self.container.network_isolation:
            # nobody is there that would pass anything on; nor does Docker, but an internal network can't publish a port
            network += ["--aux-address", f"DefaultGatewayIPv4={subnet[3]}"]
            network += ["--internal"] if near else ["--opt", f"{_BRIDGE}enable_ip_masquerade=false"]
            run += ["--dns", "127.0.0.1", "--dns-option", "timeout:1", "--dns-option", "attempts:1"]
        if not near:
            run += ["--publish", f"127.0.0.1:{address[1]}:{self._port}"]
        run += [*self._limits(), *self._mounts(), *self._environment(), "--", self.container.image, "serve"]

        create = shlex.join(docker.command(*network, "--", name))
        return Launch(
            ["sh", "-c", f"{create} >/dev/null && exec {shlex.join(docker.command(*run))}"],
            docker.environment,
            self.work_dir,
            socket=None,
            address=address,
            afterwards=[docker.command("rm", "--force", name), docker.command("network", "rm", name)],
            made=identity,
        )

    def _limits(self) -> list[str]:
        """Memory, of which all may be shared, and GPUs. Without a limit shared memory has Linux's own: the half."""
        memory, daemon = self._docker.memory, self._docker.daemon
        options = ["--shm-size", str(memory or daemon.memory // 2)]
        if memory is not None:
            options += ["--memory", str(memory), "--memory-swap", str(memory)]
        return options + (["--gpus", "all"] if daemon.gpus else [])

    def _mounts(self) -> list[str]:
        """The instance's models, or its one, and its code, all readable by whichever user the image has."""
        mounts = {_MODELS if self.container.multi_model else _MODEL: self._files, _CODE_FOLDER: self._code()}
        options = []
        for inside, folder in mounts.items():
            if folder is not None:
                if inside == _MODELS:
                    folder.chmod(0o755)  # what is in it comes and goes
                else:
                    make_readable(folder)
                source = str(folder.resolve()).replace('"', '""')
                options += ["--mount", f'type=bind,"source={source}",target={inside},readonly']
        return options

    def _code(self) -> Path | None:
        """The code that was fetched for it."""
        folder = Path(self.container.environment.get(_CODE, ""))
        return folder if folder.is_relative_to(self.work_dir.parent) else None

    def _environment(self) -> list[str]:
        """The container's variables and the platform's own, in a file: others can read a command line."""
        variables = dict(self.container.environment)
        if self._code() is not None:
            variables[_CODE] = str(_CODE_FOLDER)
        if self.container.multi_model:
            variables["SAGEMAKER_MULTI_MODEL"] = "true"
        if self.container.port is not None:
            variables["SAGEMAKER_BIND_TO_PORT"] = str(self._port)
            variables["SAGEMAKER_SAFE_PORT_RANGE"] = f"{self._port + 1}-{self._port + SAFE_PORTS - 1}"
        # a file can't have values with line breaks
        apart = {name: value for name, value in variables.items() if "\n" in value or "\r" in value}
        file = self.work_dir / "environment"
        file.write_text(
            "".join(f"{name}={value}\n" for name, value in variables.items() if name not in apart), encoding="utf-8"
        )
        options = ["--env-file", str(file)]
        for name, value in apart.items():
            options += ["--env", f"{name}={value}"]
        return options

    def _path(self, name: str) -> str:
        return super()._path(name) if self.container.multi_model else "/invocations"

    def _url_of(self, name: str, directory: Path) -> Path:
        """SageMaker's path of a model, by way of a link beside its folder, which is new for each download."""
        make_readable(directory.parent)
        assert self._files is not None
        link = self._files / name
        link.unlink(missing_ok=True)
        link.symlink_to(directory.parent.name)
        return _MODELS / name / directory.name

    def _forget(self, name: str) -> None:
        if self._files is not None:
            (self._files / name).unlink(missing_ok=True)

    async def load(self, name: str, target_model: str, directory: Path) -> None:
        """See ``ContainerServer``; a single model is there before the start."""
        if self.container.multi_model:
            await super().load(name, target_model, directory)


def make_readable(folder: Path) -> None:
    """Let everybody read what is in a folder, but for what is above it; links are left alone."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if path.is_dir() else 0o044))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
