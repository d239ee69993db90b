"""Shared by all tests: the repository, the README's snippets, and really served local endpoints."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.loaders
import pytest

if TYPE_CHECKING:  # "make matrix" runs tests without the local endpoint, and without the library
    from mme_local.testing import LocalEndpoint

ROOT = Path(__file__).parent.parent

# behind a shell's & what the tests start would ignore it, too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _day() -> Iterator[None]:
    """One day for all tests, or they would warn of old images some time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdk_multi_model_endpoint._rules.warnings.today", lambda: date(2026, 11, 24))
        yield


@pytest.fixture(scope="session", autouse=True)
def _models_of_services() -> Iterator[None]:
    """What botocore has read of a service, for all sessions: each would take a tenth of a second for a client."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", lambda _: loader)
        yield


@pytest.fixture(autouse=True)
def _own_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 keeps a session, which would have the environment of an earlier test."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture(scope="session")
def start_local() -> Callable[..., LocalEndpoint]:
    """Start another one, whose log goes to a file; the caller stops it."""
    from mme_local.testing import start

    return lambda log, *options, **settings: start(*options, log=log, **settings)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEndpoint]:
    """One without model servers, shared by all tests: each uses names of its own."""
    from mme_local.testing import local_endpoint

    with local_endpoint("--no-servers", log=tmp_path_factory.mktemp("control-plane") / "log.txt") as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def needs_docker() -> None:
    """Skip where Docker does not answer; never silently in CI."""
    if subprocess.run(["docker", "version"], capture_output=True).returncode != 0:
        known = os.environ.get("MME_TESTS_WITHOUT_DOCKER")
        silent = os.environ.get("CI") == "true" and not known
        (pytest.fail if silent else pytest.skip)(known or "docker version does not answer")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; never skipped in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no Chromium: .ci/run installs it")
    return found


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Call until the answer is true, and return it."""

    def wait(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        began = time.monotonic()
        while not (answer := condition()):
            waited = time.monotonic() - began
            assert waited < seconds, f"not within {seconds} seconds: {condition}"
            # the longer it takes the less often we look: what we wait for needs the processors, too
            time.sleep(min(max(0.02, waited / 20), 0.25))
        return answer

    return wait


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def snippets(root: Path) -> Callable[[str], dict[str, str]]:
    """The Python blocks of a page, by the file name in their first line."""
    return lambda page: dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", (root / page).read_text(), re.DOTALL))


@pytest.fixture(scope="session")
def readme_snippets(snippets: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """Those of the README."""
    return snippets("README.md")


@pytest.fixture(scope="session")
def property_tables(root: Path) -> dict[str, dict[str, str]]:
    """The tables of docs/properties.md: what they say of each path, by resource type."""
    sections = re.split(r"^## ", (root / "docs" / "properties.md").read_text(), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: dict(re.findall(r"^\| `([\w.*]+)` \| (.+) \|$", section, re.MULTILINE))
        for section in sections
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's directory."""
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\x00\x01\x02")
    (folder / "code" / "inference.py").write_text("print('hello')\n")
    return folder


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Names that no other test uses."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}{next(numbers)}"
