"""What is released: versions from git's tags, archives that anybody can build again, and what PyPI shows of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from scripts import name_repository
from scripts.wheels import build, metadata, uv

PACKAGES = ("cdk_multi_model_endpoint", "mme_local", "multi_model_endpoint")
COMMITTED = 1_700_000_000
Checkout = Callable[..., Path]


def git(checkout: Path, *arguments: str) -> None:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    someone = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com")
    subprocess.run(["git", *someone, *arguments], cwd=checkout, env=os.environ | own, check=True, capture_output=True)


@pytest.fixture(scope="module")
def make_checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of what packages are built from: a git repository with a tag, or without one, or no repository."""

    def make(tag: str | None = None, *, commits: int = 1) -> Path:
        checkout = tmp_path_factory.mktemp("checkout") / "repository"
        for folder in ("constructs", "toolkit", "local"):
            shutil.copytree(root / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "NOTICE"):
            shutil.copyfile(root / name, checkout / name)
        if commits:
            git(checkout, "init", "--quiet")
            git(checkout, "add", ".")
            git(checkout, "commit", "--quiet", "--message", "All of it")
        if tag is not None:
            git(checkout, "tag", tag)
        for number in range(1, commits):
            git(checkout, "commit", "--quiet", "--allow-empty", "--message", f"Change {number}")
        return checkout

    return make


@pytest.fixture(scope="module", autouse=True)
def _date() -> Iterator[None]:
    """As ``make dist`` sets it to the commit's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", str(COMMITTED))
        yield


@pytest.fixture(scope="module")
def release(make_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archives of version 9.8.7."""
    output = tmp_path_factory.mktemp("release")
    build(make_checkout("v9.8.7"), output)
    return output


@pytest.fixture(scope="module")
def named(make_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of a release that knows its repository."""
    checkout = make_checkout("v9.8.7")
    name_repository.main("https://example.com/owner/name", "v9.8.7", checkout)
    return build(checkout, tmp_path_factory.mktemp("named"))


def digests(folder: Path, ends: str = "*[lz]") -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob(ends)}


def described(package: Path) -> dict[str, Any]:
    """The metadata that a package would be built with."""
    command = [sys.executable, "-m", "hatchling", "metadata"]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=package, capture_output=True, check=True).stdout)
    return found


def test_a_tag_is_the_version_of_all_packages(release: Path) -> None:
    assert {*digests(release)} == {
        f"{package}-9.8.7{end}" for package in PACKAGES for end in ("-py3-none-any.whl", ".tar.gz")
    }


@pytest.mark.parametrize(
    ("tag", "commits", "expected"),
    [("v9.8.7", 3, r"9\.8\.8\.dev2\+[0-9a-f]{7,}"), (None, 2, r"0\.0\.0\.dev0"), (None, 0, r"0\.0\.0\.dev0")],
    ids=["two commits after a tag", "no tag", "no repository"],
)
def test_packages_need_each_other_in_the_version_that_they_have(
    make_checkout: Checkout, tag: str | None, commits: int, expected: str
) -> None:
    checkout = make_checkout(tag, commits=commits)
    packages = [described(folder) for folder in (checkout, checkout / "toolkit", checkout / "local")]
    (version,) = {package["version"] for package in packages}
    assert re.fullmatch(expected, version)
    extras = [extra for package in packages for extra in package.get("optional-dependencies", {}).values()]
    lines = [line for part in (*(package["dependencies"] for package in packages), *extras) for line in part]
    wanted = [Requirement(line) for line in lines if line.startswith(("multi-model-endpoint", "mme-local"))]
    assert len(wanted) == 8
    assert {str(each.specifier) for each in wanted} == {f"=={version}"}
    assert all(each.specifier.contains(version) for each in wanted)


def test_whoever_builds_it_again_gets_the_same_bytes(
    make_checkout: Checkout, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    checkout = make_checkout("v9.8.7")
    for path in checkout.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1e9, 1e9))
    build(checkout, tmp_path)
    assert len(digests(release)) == 6
    assert digests(tmp_path) == digests(release)


def test_an_sdist_is_enough_to_build_its_wheel_without_git(release: Path, tmp_path: Path) -> None:
    for sdist in release.glob("*.tar.gz"):
        with tarfile.open(sdist) as archive:
            assert {member.mtime for member in archive} == {COMMITTED}
            archive.extractall(tmp_path, filter="data")
        folder = tmp_path / sdist.name.removesuffix(".tar.gz")
        assert not [*folder.rglob("test_*.py")]
        options = ("--no-build-isolation", "--python", sys.executable, "--out-dir", tmp_path / "again")
        uv("build", "--wheel", *options, folder)
    assert digests(tmp_path / "again") == digests(release, "*.whl")


@pytest.mark.parametrize(
    ("command", "archives"), [(["twine", "check", "--strict"], "*[lz]"), (["check-wheel-contents"], "*.whl")]
)
def test_archives_pass_what_others_ask_of_them(release: Path, command: list[str], archives: str) -> None:
    checked = subprocess.run([*command, *release.glob(archives)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_says_for_whom_it_is(release: Path, package: str) -> None:
    (wheel,) = release.glob(f"{package}-*.whl")
    said = metadata(wheel)
    classifiers = said.get_all("Classifier", [])
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13, 14)} < {*classifiers}
    assert "Typing :: Typed" in classifiers
    assert any(line.startswith("Operating System :: ") for line in classifiers)
    assert said["Requires-Python"] == ">=3.11"
    assert said["License-Expression"] == "Apache-2.0"
    assert {*said.get_all("License-File", [])} == {"LICENSE", "NOTICE"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_release_names_the_repository_that_it_comes_from(named: dict[str, Path], package: str) -> None:
    said = metadata(named[package])
    assert said["Version"] == "9.8.7"
    assert dict(url.split(", ") for url in said.get_all("Project-URL", [])) == {
        "Repository": "https://example.com/owner/name",
        "Documentation": "https://example.com/owner/name/tree/v9.8.7/docs",
        "Changelog": "https://example.com/owner/name/blob/v9.8.7/CHANGELOG.md",
        "Issues": "https://example.com/owner/name/issues",
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_links_of_the_page_on_pypi_lead_to_the_release(named: dict[str, Path], package: str, root: Path) -> None:
    text = str(metadata(named[package]).get_payload())
    links = re.findall(r"""(?:\]\(|src="|srcset="|href=")([^)"\s]+)""", text)
    assert not [link for link in links if not link.startswith(("https://", "#"))]
    files = re.findall(r"""https://example\.com/owner/name/(?:blob|raw)/v9\.8\.7/([^)#"\s]+)""", text)
    assert not [path for path in files if not (root / path).exists()]
