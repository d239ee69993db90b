"""A ``docker`` that takes its time keeps nobody waiting who does not need it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import Images, Site, multi_model

MANY = 12
"""More than the threads that the rest of the process shares."""


@dataclass
class SlowDocker:
    """A ``docker`` before the real one on the PATH, one of whose commands waits until ``go_on``."""

    folder: Path

    def __post_init__(self) -> None:
        self.asked = self.folder / "asked"
        wait = f'echo >> "{self.asked}"; until [ -e "{self.folder}/gate" ]; do sleep 0.05; done'
        program = self.folder / "docker"
        program.write_text(f'#!/bin/sh\n[ "$1" != "$SLOW" ] || {{ {wait}; }}\nexec {shutil.which("docker")} "$@"\n')
        program.chmod(0o755)

    def environment(self, command: str) -> dict[str, str]:
        return {**os.environ, "SLOW": command, "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def calls(self) -> int:
        return self.asked.stat().st_size if self.asked.exists() else 0

    def go_on(self) -> None:
        (self.folder / "gate").touch()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowDocker]:
    folder = tmp_path / "slow"
    folder.mkdir()
    made = SlowDocker(folder)
    yield made
    made.go_on()


def check_that_others_are_answered(site: Site) -> None:
    site.put("a")
    site.sagemaker.list_models()
    assert site.local.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_models_whose_images_are_looked_at_keep_nobody_waiting(
    own_site: Callable[..., Site], images: Images, slow: SlowDocker
) -> None:
    site = own_site(env=slow.environment("image"))
    with ThreadPoolExecutor(MANY) as pool:
        creations = [pool.submit(site.model, multi_model(images.usual)) for _ in range(MANY)]
        site.eventually(lambda: slow.calls() >= 5)
        check_that_others_are_answered(site)
        assert not any(creation.done() for creation in creations)
        slow.go_on()
    assert len({creation.result() for creation in creations}) == MANY


def test_endpoints_that_wait_for_docker_keep_nobody_waiting(
    own_site: Callable[..., Site], images: Images, slow: SlowDocker
) -> None:
    site = own_site(env=slow.environment("version"))
    models = [site.model(multi_model(images.usual)) for _ in range(MANY)]
    endpoints = [site.start(model) for model in models]
    site.eventually(lambda: slow.calls() >= 5)
    check_that_others_are_answered(site)
    for endpoint in endpoints:
        assert site.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Creating"
