"""The ``docker`` command, with its user's own contexts, hosts and credential helpers (docs/adr/0006)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import json
import re
import shutil
import socket
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import structlog

from mme_local.hosting.images import LOCAL_REGISTRY
from mme_local.servers.base import ServerError
from mme_local.servers.docker.leftovers import OWNER, is_left_behind, owner
from mme_local.servers.process import Launch, ServerProcess, log_excerpt

T = TypeVar("T")

_log = structlog.get_logger("mme_local.platform")

_SECONDS_TO_ANSWER = 30.0
_PULL_POLL_SECONDS = 0.1
_LAYER = re.compile(r"^(\w+): (Pull complete|Already exists)?", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """What SageMaker looks at in an image."""

    architecture: str
    labels: Mapping[str, str]
    user: str
    """The empty string is root, too."""
    entry_point: Sequence[str]


@dataclass(frozen=True)
class Daemon:
    """What there is to know of a daemon.

    Attributes:
        memory: Bytes of its machine.
        gpus: Whether it has NVIDIA's runtime.
        near: Whether its containers' addresses can be reached from here: a daemon in a virtual machine, as Docker
            Desktop's, or in a user's namespace has its networks there.
    """

    memory: int
    gpus: bool
    near: bool


class Docker:
    """Runs ``docker``.

    Args:
        environment: The user's, from before ``mme serve`` changed its own.
        lock: The file that this process has locked: who finds it unlocked may remove what we made.
        memory: Bytes that a container may take; as much as there is when left out.
    """

    def __init__(self, environment: Mapping[str, str], lock: Path, *, memory: int | None = None) -> None:
        self.environment = dict(environment)
        self.label = f"{OWNER}={owner(lock)}"
        self.memory = memory
        self._threads = ThreadPoolExecutor(thread_name_prefix="mme-docker")
        self._pulling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [shutil.which("docker", path=self.environment.get("PATH")) or "docker", *arguments]

    def run(self, *arguments: str) -> str:
        """Run it and return its output; ``ServerError`` with its complaint when it fails."""
        try:
            done = subprocess.run(  # noqa: S603 - the user's own docker
                self.command(*arguments),
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=_SECONDS_TO_ANSWER,
            )
        except FileNotFoundError:
            raise ServerError("there is no docker command on the PATH") from None
        except OSError as error:
            raise ServerError(f"docker {arguments[0]} failed: {error}") from error
        except subprocess.TimeoutExpired:
            raise ServerError(f"docker {arguments[0]} did not answer within {_SECONDS_TO_ANSWER:g} seconds") from None
        if done.returncode != 0:
            raise ServerError(f"docker {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    async def ask(self, question: Callable[..., T], *arguments: str) -> T:
        """Have one of the methods that block answer on a thread, of which the rest of the process needs none."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, *arguments)

    def problem(self) -> str | None:
        """Why Docker can't be used here; None when it answers."""
        try:
            self.run("version", "--format", "{{.Server.Version}}")
        except ServerError as error:
            return str(error)
        return None

    @functools.cached_property
    def daemon(self) -> Daemon:
        """The daemon; blocks at its first use."""
        known = json.loads(self.run("info", "--format", "{{json .}}"))
        subnets = self.run("network", "inspect", "bridge", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}")
        return Daemon(known["MemTotal"], "nvidia" in known["Runtimes"], _has_address_in(subnets.split()))

    def image(self, name: str) -> Image | None:
        """An image that is on this machine."""
        try:
            found = self.run("image", "inspect", "--format", "{{.Architecture}} {{json .Config}}", "--", name)
        except ServerError as error:
            if "No such image" in str(error):
                return None
            raise
        architecture, _, rest = found.partition(" ")
        config = json.loads(rest)  # by the daemon's version, what is empty is null or left out
        labels, user, entry_point = (config.get(key) for key in ("Labels", "User", "Entrypoint"))
        return Image(architecture, labels or {}, user or "", entry_point or [])

    async def ensure(self, name: str, architecture: str, work_dir: Path) -> Image:
        """Return an image, pulled first unless it is on this machine.

        Raises:
            ServerError: It can't be pulled.
        """
        async with self._pulling[name]:
            image = await self.ask(self.image, name)
            if image is None and name.startswith(LOCAL_REGISTRY):
                raise ServerError(
                    f"image {name} is not on this machine, and no registry has it: `cdk deploy` builds it, by the"
                    " Docker of its shell, which must be the one of `mme serve`"
                )
            if image is None:
                await self._pull(name, architecture, work_dir)
                image = await self.ask(self.image, name)
        if image is None:
            raise ServerError(f"image {name} was pulled and is not there")
        return image

    async def _pull(self, name: str, architecture: str, work_dir: Path) -> None:
        """Pull under a launcher, which ends it when we are killed."""
        log = work_dir / "pull.log"
        command = self.command("pull", "--platform", f"linux/{architecture}", "--", name)
        launch = Launch(command, self.environment, work_dir, socket=work_dir / "none")
        _log.info("pulling image", image=name)
        process = await asyncio.to_thread(ServerProcess, launch, log)
        shown = None
        try:
            while process.exit_status() is None:
                await asyncio.sleep(_PULL_POLL_SECONDS)
                layers = _layers(log)
                if layers != shown:
                    _log.info("pulling image", image=name, layers=layers)
                shown = layers
            status = process.exit_status()
        finally:
            await asyncio.to_thread(process.end)
        if status != 0:
            raise ServerError(f"image {name} could not be pulled; does `docker pull {name}` work?\n{log_excerpt(log)}")
        _log.info("pulled image", image=name)

    def remove_left_behind(self) -> None:
        """Remove the containers and networks of processes like ours that were killed; nothing where nothing answers."""
        with contextlib.suppress(ServerError):
            self._remove_left_behind()

    def _remove_left_behind(self) -> None:
        for kind, listed in (("container", ["ls", "--all"]), ("network", ["ls"])):
            found = self.run(
                kind, *listed, "--filter", f"label={OWNER}", "--format", f'{{{{.ID}}}} {{{{.Label "{OWNER}"}}}}'
            )
            for line in found.splitlines():
                identifier, _, whose = line.partition(" ")
                if is_left_behind(whose):
                    _log.info("removing what was left behind", kind=kind, id=identifier)
                    with contextlib.suppress(ServerError):  # another process like ours may be about it, too
                        self.run(kind, "rm", *(["--force"] if kind == "container" else []), identifier)


def _has_address_in(subnets: Iterable[str]) -> bool:
    """Whether an interface of this machine is in one of the subnets."""
    addresses = [each for interface in psutil.net_if_addrs().values() for each in interface]
    ours = [ipaddress.ip_address(each.address) for each in addresses if each.family == socket.AF_INET]
    return any(address in ipaddress.ip_network(subnet) for address in ours for subnet in subnets)


def _layers(log: Path) -> str | None:
    """How far a pull is, as ``3 of 9``; None before its first layer."""
    seen: dict[str, bool] = {}
    for layer, done in _LAYER.findall(log.read_text(errors="replace")):
        seen[layer] = seen.get(layer, False) or bool(done)
    return f"{sum(seen.values())} of {len(seen)}" if seen else None
