"""Use the wheels in ``dist`` from clean environments: each Python that is here, the oldest dependencies and the newest.

Usage: ``python -m scripts.matrix [USE…]``; all of them by default. The Pythons are those of the wheels' classifiers.
Tests run in an empty folder, so that what they import is what was installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from scripts.wheels import ROOT, install, make_environment, metadata, needs, wheels_in

DEPENDENCIES = {"oldest": "lowest-direct", "newest": "highest"}
SHOWN = ("aws-cdk-lib", "constructs", "boto3")
# of what has to be compiled, the oldest that has a wheel for the Python at hand
COMPILED = ("aiohttp", "gevent", "httptools", "isal", "numpy", "psutil", "scikit-learn", "uvloop")
TESTS = ROOT / "tests"
LIBRARY = ("endpoint", "store", "image", "scaling", "variants", "deployment", "validation", "warm_up", "monitoring")
LOAD = ("latencies", "payloads", "popularity", "ramp", "recording", "user")


@dataclass(frozen=True)
class Environment:
    """A clean environment, and an empty folder."""

    python: Path
    folder: Path

    def run(self, *command: str | Path, **variables: str) -> str:
        """Run what has to succeed, and return what it printed."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
        environment["PATH"] = f"{self.python.parent}{os.pathsep}{environment['PATH']}"
        environment |= variables
        result = subprocess.run(
            [*map(str, command)], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}:\n{result.stdout}{result.stderr}")
        return result.stdout

    def test(self, *paths: Path, fixtures: Path) -> None:
        """Run tests of this repository with what is installed, and with the fixtures from a folder of it on."""
        options = ("-q", "-c", os.devnull, "--rootdir", ROOT, "--confcutdir", fixtures, "--import-mode=importlib")
        install(self.python, "--constraint", ROOT / "requirements-dev.txt", "pytest", "pytest-timeout", "syrupy")
        self.run(self.python, "-P", "-m", "pytest", *options, "-p", "no:cacheprovider", *paths)


def use_toolkit(environment: Environment) -> None:
    """The command, the client and its tests, without the CDK."""
    assert "push" in environment.run("mme", "--help")
    absent = "import importlib.util as util; assert not util.find_spec('aws_cdk') and not util.find_spec('mme_local'); "
    environment.run(environment.python, "-c", absent + "from multi_model_endpoint import MultiModelClient")
    environment.test(TESTS / "toolkit" / "calling", fixtures=TESTS / "toolkit")


def use_load(environment: Environment) -> None:
    """Locust's user, and what is reckoned from its calls."""
    assert "--start-rps" in environment.run("mme", "load", "--help")
    environment.test(*(TESTS / "toolkit" / "load" / f"test_{name}.py" for name in LOAD), fixtures=TESTS / "toolkit")


def use_mlflow(environment: Environment) -> None:
    """A model in MLflow's format becomes one that an image loads."""
    model = environment.folder / "churn"
    model.mkdir()
    (model / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    (model / "model.pkl").touch()
    code = "with fetched('mlflow:churn', None) as model: print(model.framework, (model.path / 'inference.py').exists())"
    found = environment.run(environment.python, "-c", f"from multi_model_endpoint.registries import fetched\n{code}")
    assert found == "sklearn True\n", found


def use_library(environment: Environment) -> None:
    """The README's app, and the library's tests."""
    # aws-cdk.cloud-assembly-schema brings a file of it, too: pip writes this one last, uv now the one, now the other
    cdk = f"aws-cdk-lib=={versions(environment)['aws-cdk-lib']}"
    install(environment.python, "--no-deps", "--reinstall-package", "aws-cdk-lib", cdk)
    snippets = re.findall(r"```python\n# (scoring|app)\.py\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for name, text in snippets:
        (environment.folder / f"{name}.py").write_text(text)
    model = environment.folder / "models" / "churn"
    model.mkdir(parents=True)
    (model / "xgboost-model").write_bytes((ROOT / "stacks/models/xgboost/customer-churn/xgboost-model").read_bytes())
    environment.run(environment.python, "app.py", CDK_OUTDIR="cdk.out")
    (template,) = (environment.folder / "cdk.out").glob("*.template.json")
    assert "AWS::SageMaker::Endpoint" in template.read_text()
    environment.test(*(TESTS / "unit" / f"test_{name}.py" for name in LIBRARY), fixtures=TESTS)


def use_local(environment: Environment) -> None:
    """The local endpoint starts, takes a model and answers from it."""
    program = ROOT / "scripts" / "uses" / "local.py"
    answer = environment.run(environment.python, "-P", program, ROOT / "stacks/models/xgboost/customer-churn")
    assert 0 < float(answer) < 1, answer


@dataclass(frozen=True)
class Use:
    """What is installed, and what is done with it: a package, extras of the toolkit."""

    run: Callable[[Environment], None]
    package: str = "multi_model_endpoint"
    extras: tuple[str, ...] = ()


USES = {
    "toolkit": Use(use_toolkit),
    "load": Use(use_load, extras=("load",)),
    "mlflow": Use(use_mlflow, extras=("mlflow",)),
    "library": Use(use_library, "cdk_multi_model_endpoint"),
    "local": Use(use_local, "mme_local"),
}


def main(names: list[str]) -> int:
    """The exit status is 1 when a use has failed."""
    wheels = wheels_in(ROOT / "dist")
    rows = [row for name in names or USES for row in try_use(name, USES[name], wheels)]
    print(tabulate(rows, headers="keys", disable_numparse=True))
    return int(any(row["result"] == "fails" for row in rows))


def try_use(name: str, use: Use, wheels: Mapping[str, Path]) -> Iterator[dict[str, object]]:
    """Rows of the table: one for each Python and both ends of the dependencies."""
    classifiers = metadata(wheels[use.package]).get_all("Classifier", [])
    for version in (line.rpartition(" ")[2] for line in classifiers if re.search(r":: 3\.\d+$", line)):
        python = find(version)
        for which, resolution in DEPENDENCIES.items() if python else [("", "")]:
            row: dict[str, object] = {"use": name, "Python": version, "dependencies": which, "result": "not here"}
            if python:
                began = time.monotonic()
                with tempfile.TemporaryDirectory() as folder:
                    row |= tried(use, wheels, python, resolution, Path(folder))
                row["seconds"] = round(time.monotonic() - began)
            print(*row.values(), flush=True)
            yield row


def tried(use: Use, wheels: Mapping[str, Path], python: str, resolution: str, folder: Path) -> dict[str, object]:
    """Install a package with its requirements as if they were asked for directly, and use it."""
    parts = [wheels[name] for name in {use.package, "multi_model_endpoint"}]
    wanted = [line for part in parts for line in needs(part, use.extras) if not line.startswith("multi-model-endpoint")]
    try:
        environment = Environment(make_environment(folder / "environment", python), folder / "empty")
        environment.folder.mkdir()
        wheels_only = [f"--only-binary={name}" for name in COMPILED]
        install(environment.python, "--resolution", resolution, *wheels_only, *parts, *wanted)
        row: dict[str, object] = versions(environment)
        use.run(environment)
    except (RuntimeError, AssertionError):
        traceback.print_exc()
        return {"result": "fails"}
    return {"result": "works"} | row


def versions(environment: Environment) -> dict[str, object]:
    """The versions of what users install beside us."""
    code = "from importlib.metadata import distributions\nfor each in distributions(): print(each.name, each.version)"
    found = dict(line.split() for line in environment.run(environment.python, "-c", code).splitlines())
    return {name: found.get(name, "") for name in SHOWN}


def find(version: str) -> str | None:
    """A Python of this version, on the PATH, uv's or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    path = os.pathsep.join([*map(str, pyenv.glob("versions/*/bin")), os.environ["PATH"]])
    command = [sys.executable, "-m", "uv", "python", "find", "--no-project", "--no-python-downloads", "--system"]
    result = subprocess.run(
        [*command, version], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
