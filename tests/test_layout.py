"""The guards of the ``constructs/`` folder, which has the name of a package that every CDK app imports (ADR 0001)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import constructs
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cdk_multi_model_endpoint
import mme_local
import multi_model_endpoint


def test_constructs_folder_is_no_package(root: Path) -> None:
    assert not (root / "constructs" / "__init__.py").exists(), (
        "it would hide the package 'constructs' from every CDK app"
    )


def test_constructs_is_the_package_from_pypi(root: Path) -> None:
    assert constructs.__file__ is not None
    assert not Path(constructs.__file__).is_relative_to(root / "constructs")
    assert hasattr(constructs, "Construct")


def test_constructs_is_the_package_from_pypi_beside_the_folder(root: Path) -> None:
    """As in ``python app.py``: the repository is first on the path."""
    code = "import constructs; print(constructs.Construct.__module__, constructs.__file__)"
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert str(root / "constructs") not in result.stdout


def test_packages_come_from_their_source_roots(root: Path) -> None:
    assert Path(str(cdk_multi_model_endpoint.__file__)).is_relative_to(root / "constructs")
    assert Path(str(multi_model_endpoint.__file__)).is_relative_to(root / "toolkit")
    assert Path(str(mme_local.__file__)).is_relative_to(root / "local")


@pytest.mark.parametrize(
    "module", ["constructs.cdk_multi_model_endpoint", "toolkit.multi_model_endpoint", "local.mme_local"]
)
def test_linter_refuses_the_second_path_to_a_package(root: Path, tmp_path: Path, module: str) -> None:
    (tmp_path / "app.py").write_text(f'"""An app."""\n\nimport {module}  # noqa: F401\n')
    command = ["ruff", "check", "--config", str(root / "pyproject.toml"), "--output-format", "concise", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "TID251" in result.stdout


def test_import_sorter_knows_constructs_as_third_party(root: Path) -> None:
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    assert settings["tool"]["ruff"]["lint"]["isort"]["known-third-party"] == ["constructs"]


def test_all_that_tests_need_is_pinned(root: Path) -> None:
    lines = (root / "requirements-dev.txt").read_text().splitlines()
    pinned = {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith((" ", "#"))}
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = [line for name in ("cdk-multi-model-endpoint", "mme-local") for line in requires(name) or []]
    names = {canonicalize_name(Requirement(line).name) for line in [*wanted, *settings["dependency-groups"]["dev"]]}
    several_gigabytes = {"torch", "transformers", "sagemaker-huggingface-inference-toolkit"}  # in CI one of them
    assert names - pinned - several_gigabytes == {"multi-model-endpoint", "mme-local"}


def test_packages_have_the_licence(root: Path) -> None:
    text = (root / "LICENSE").read_text()
    assert [(root / source / "LICENSE").read_text() for source in ("toolkit", "local")] == [text, text]


@pytest.mark.parametrize("folder", ["hosting", "sagemaker"])
def test_linter_refuses_ministack_outside_of_its_folder(root: Path, tmp_path: Path, folder: str) -> None:
    shutil.copytree(root / "local" / "mme_local", tmp_path / "mme_local")
    command = ["lint-imports", "--config", str(root / "pyproject.toml"), "--contract", "ministack", "--no-cache"]

    def lint() -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert lint().returncode == 0
    (tmp_path / "mme_local" / folder / "intruder.py").write_text("def peek():\n    from ministack import app\n")
    refused = lint()
    assert refused.returncode == 1
    assert f"mme_local.{folder}.intruder -> ministack" in refused.stdout


def test_no_module_imports_another_by_a_string(root: Path) -> None:
    """Import-linter would not see it; a container's program is the one thing whose name is known at run time only."""
    found = [path for path in (root / "local").rglob("*.py") if "import_module(" in path.read_text()]
    assert [path.name for path in found] == ["import_program.py"]
