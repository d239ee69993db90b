"""The docker command as ``mme serve`` uses it: whose settings, what it pulls, and what is said where it can't."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mme_local.platform.utilization import Utilization
from mme_local.servers.docker.client import Docker
from mme_local.servers.docker.leftovers import owner
from mme_local.servers.docker.server import DockerServer
from mme_local.testing import LocalEndpoint

from .conftest import Images, Site, labelled, multi_model
from .images import docker
from .registry import Registry

NOWHERE = {**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"}


def test_an_image_is_pulled_before_its_labels_are_looked_at(site: Site, registry: Registry) -> None:
    registry.layer_may_go.set()
    endpoint = site.start(site.model(multi_model(registry.image)))
    status, reason = site.settled(endpoint)
    assert status == "Failed"
    assert f"Your Ecr Image {registry.image} does not contain required" in reason
    records = [json.loads(line) for line in site.local.log.read_text().splitlines()]
    shown = [record["event"] for record in records if record.get("image") == registry.image]
    assert shown[0] == "pulling image"
    assert shown[-1] == "pulled image"
    site.delete(endpoint)
    docker("rmi", registry.image)


def test_docker_is_run_with_the_users_own_settings(
    own_site: Callable[..., Site], images: Images, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\nenv >> "{seen}"\nexec {shutil.which("docker")} "$@"\n')
    program.chmod(0o755)
    users = {"AWS_PROFILE": "mine", "AWS_REGION": "eu-north-1", "DOCKER_CONFIG": str(tmp_path)}
    site = own_site(env={**os.environ, **users, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    site.put("a")
    assert site.call(site.deploy(multi_model(images.usual)), model="a").startswith("a|")
    settings = seen.read_text().splitlines()
    for name, value in users.items():
        assert {line for line in settings if line.startswith(f"{name}=")} == {f"{name}={value}"}
    assert not [line for line in settings if "no-docker.sock" in line]
    folder = site.folder
    site.local.stop()
    assert labelled(folder) == []


def test_without_docker_calls_say_that_it_would_run_the_image(own_site: Callable[..., Site]) -> None:
    site = own_site(env=NOWHERE)
    endpoint = site.deploy(multi_model("my-own:1"))
    refusal = site.call_refused(endpoint, model="a")
    assert "Container primary with image my-own:1 cannot be served locally" in refusal
    assert "where Docker answers, it runs as it is, but docker version failed: " in refusal


def test_a_container_that_dies_while_docker_is_away_comes_back_with_it(
    own_site: Callable[..., Site], images: Images, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\n[ ! -e "{away}" ] || exit 1\nexec {shutil.which("docker")} "$@"\n')
    program.chmod(0o755)
    site = own_site(env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    site.put("a")
    endpoint = site.deploy(multi_model(images.usual))
    away.touch()
    docker("kill", *site.containers())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(site.call, endpoint, model="a")  # or it would be noticed by the health checks only
        site.eventually(lambda: "server restart failed" in site.local.log.read_text(), 120)
        away.unlink()
        site.eventually(lambda: "server restarted" in site.local.log.read_text(), 120)
    assert site.call(endpoint, model="a").startswith("a|")
    # what could not be removed while Docker was away, the next start of anybody removes
    site.local.process.kill()
    site.local.process.wait()
    Docker(os.environ, tmp_path / "other").remove_left_behind()


def test_without_docker_nothing_starts_that_always_needs_it(
    start_local: Callable[..., LocalEndpoint], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="--docker always needs Docker, but docker version failed"):
        start_local(tmp_path / "log.txt", "--docker", "always", env=NOWHERE)


def test_always_runs_images_that_there_is_a_stand_in_for(own_site: Callable[..., Site], images: Images) -> None:
    image = f"mme-test-{os.getpid()}/sagemaker-xgboost:mine"
    docker("tag", images.usual, image)
    site = own_site("--docker", "always")
    site.put("a")
    assert site.call(site.deploy(multi_model(image)), model="a").startswith("a|a.tar.gz|/opt/ml/models/")
    site.local.stop()
    docker("rmi", image)


def test_a_daemon_in_a_machine_of_its_own_is_reached_by_a_port_of_the_loopback_device(
    run_one: Callable[..., None],
) -> None:
    async def use(server: DockerServer, instance: Path) -> None:
        answer = await server.invoke("a", "a.tar.gz", b"x", {})
        assert answer.body.startswith(b"a|a.tar.gz|")
        identity = (instance / "c0" / "0" / "container").read_text()
        form = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}}{{end}}{{end}}"
        assert docker("inspect", "--format", form, identity) == "127.0.0.1"

    run_one(use, near=False)


def test_who_starts_meanwhile_leaves_the_containers_of_the_living_alone(
    run_one: Callable[..., None], tmp_path: Path
) -> None:
    async def use(server: DockerServer, _instance: Path) -> None:
        Docker(os.environ, tmp_path / "other").remove_left_behind()
        await server.invoke("a", "a.tar.gz", b"x", {})

    run_one(use, near=True)


def test_what_another_removes_at_the_same_time_keeps_nothing_else(tmp_path: Path) -> None:
    program, asked = tmp_path / "docker", tmp_path / "asked"
    whose = owner(tmp_path / "lock")  # which is not there, as that of one that was killed
    program.write_text(
        f'#!/bin/sh\ncase "$2" in ls) echo "$1-1 {whose}"; echo "$1-2 {whose}" ;;\n'
        f'rm) echo "$@" >> "{asked}"; exit 1 ;; esac\n'
    )
    program.chmod(0o755)
    Docker({"PATH": str(tmp_path)}, tmp_path / "ours").remove_left_behind()
    removals = [line.split()[-1] for line in asked.read_text().splitlines()]
    assert removals == ["container-1", "container-2", "network-1", "network-2"]


def test_what_a_container_takes_is_in_the_metrics_of_its_instance(run_one: Callable[..., None]) -> None:
    async def use(server: DockerServer, instance: Path) -> None:
        utilization = Utilization(None)
        before = utilization.measure({instance: 0})[instance]["MemoryUtilization"]
        await server.invoke("a", "a.tar.gz", b'{"do": "allocate", "mib": 300}', {})
        grown = utilization.measure({instance: 0})[instance]["MemoryUtilization"] - before
        assert grown * psutil.virtual_memory().total / 100 > 290 * 1024**2

    run_one(use, near=True)
