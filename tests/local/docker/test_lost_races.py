"""What others take at the moment when a container is started: it gets something else."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mme_local.servers.docker import server as docker_server
from mme_local.servers.docker.server import DockerServer

from .conftest import Images, RunOne
from .images import docker

pytestmark = pytest.mark.usefixtures("again")


async def call(server: DockerServer, _instance: Path) -> None:
    assert (await server.invoke("a", "a.tar.gz", b"x", {})).body.startswith(b"a|")


def choose_first(patch: pytest.MonkeyPatch, owner: Any, name: str, taken: int) -> list[int]:
    """Have a choice fall on what is taken, and then on others; return the choices."""
    choose = getattr(owner, name)
    made: list[int] = []

    def chosen(*arguments: Any) -> int:
        made.append(choose(*arguments) if made else taken)
        return made[-1]

    patch.setattr(owner, name, chosen)
    return made


def test_a_network_whose_addresses_are_taken_gets_others(run_one: RunOne, monkeypatch: pytest.MonkeyPatch) -> None:
    number = secrets.randbits(21)
    name = f"mme-test-{os.getpid()}-taken"
    docker("network", "create", "--subnet", f"10.{number >> 13}.{number >> 5 & 255}.{(number & 31) << 3}/29", name)
    try:
        choices = choose_first(monkeypatch, secrets, "randbits", number)
        run_one(call, near=True)
        assert len(choices) > 1
    finally:
        docker("network", "rm", name)


@contextmanager
def taken_by_a_program(_images: Images) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def taken_by_a_container(images: Images) -> Iterator[int]:
    container = docker("run", "--detach", "--publish", "127.0.0.1::8080", images.usual, "serve")
    try:
        yield int(docker("port", container, "8080").rpartition(":")[2])
    finally:
        docker("rm", "--force", container)


@pytest.mark.parametrize("taken", [taken_by_a_program, taken_by_a_container])
def test_a_container_whose_port_is_taken_gets_another(
    run_one: RunOne, images: Images, monkeypatch: pytest.MonkeyPatch, taken: Any
) -> None:
    with taken(images) as port:
        choices = choose_first(monkeypatch, docker_server, "_free_port", port)
        run_one(call, near=False)
        assert len(choices) > 1
