"""The library as others install it: a wheel, in an environment without this repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), str(root)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(root: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [
        *(str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"),
        *("--constraint", str(root / "requirements-dev.txt")),
        *(str(wheel), "pytest", "syrupy"),
    ]
    subprocess.run(command, check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def app(root: Path, readme_snippets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("somebody-elses-app")
    for name, text in readme_snippets.items():
        (folder / name).write_text(text)
    shutil.copytree(root / "stacks" / "models" / "xgboost" / "customer-churn", folder / "models" / "churn")
    return folder


def test_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "cdk_multi_model_endpoint",
        "mme_local",
        "cdk_multi_model_endpoint-0.1.0.dist-info",
    }
    assert "cdk_multi_model_endpoint/py.typed" in names
    assert "cdk_multi_model_endpoint/_data/images.json" in names
    assert "cdk_multi_model_endpoint-0.1.0.dist-info/licenses/NOTICE" in names


def test_needs_the_cdk_alone(python: Path) -> None:
    code = "import importlib.metadata as m; print(*m.requires('cdk-multi-model-endpoint'), sep='\\n')"
    result = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    needed = [line for line in result.stdout.splitlines() if "extra ==" not in line]
    assert needed == ["aws-cdk-lib<3,>=2.275.0", "constructs<11,>=10.5.0"]


def test_somebody_elses_app_synthesizes(python: Path, app: Path) -> None:
    output = app / "cdk.out"
    command = ["cdk", "synth", "--quiet", "--app", f"{python} app.py", "--output", str(output)]
    result = subprocess.run(command, cwd=app, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "AWS::SageMaker::Endpoint" in (output / "Scoring.template.json").read_text()


def test_somebody_elses_snapshot_test_passes(python: Path, app: Path) -> None:
    command = [str(python), "-m", "pytest", "-q"]
    subprocess.run([*command, "--snapshot-update"], cwd=app, capture_output=True, text=True, check=True)
    subprocess.run(command, cwd=app, capture_output=True, text=True, check=True)
    assert list((app / "__snapshots__").rglob("*.json"))


def test_local_command_names_the_extra_it_needs(python: Path) -> None:
    command = [str(python.with_name("mme")), "serve"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'cdk-multi-model-endpoint[local]'" in result.stderr
