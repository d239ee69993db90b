"""What the README shows works as shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def app(root: Path, tmp_path_factory: pytest.TempPathFactory, readme_snippets: dict[str, str]) -> Path:
    """The README's Python files, in a folder with a model."""
    folder = tmp_path_factory.mktemp("app")
    for name, text in readme_snippets.items():
        (folder / name).write_text(text)
    shutil.copytree(root / "stacks" / "models" / "xgboost" / "customer-churn", folder / "models" / "churn")
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CDK_VALIDATION": "false"}  # it would only warn, and take two seconds each time
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_every_python_block_is_a_named_file(root: Path, readme_snippets: dict[str, str]) -> None:
    assert (root / "README.md").read_text().count("```python\n") == len(readme_snippets)


@pytest.mark.parametrize("name", ["app.py", "pipeline.py", "operate.py"])
def test_app_synthesizes(app: Path, name: str) -> None:
    result = run(app, "-W", "error", name)
    assert result.returncode == 0, result.stderr


def test_snapshot_test_passes_and_notices_a_change(app: Path) -> None:
    pytest_command = ("-m", "pytest", "-q", "test_scoring.py")
    assert run(app, *pytest_command, "--snapshot-update").returncode == 0
    assert run(app, *pytest_command).returncode == 0
    stack = app / "scoring.py"
    stack.write_text(stack.read_text().replace("ml.m5.xlarge", "ml.m5.large"))
    assert run(app, *pytest_command).returncode == 1


def test_error_message_is_what_the_library_says(root: Path, app: Path) -> None:
    (block,) = re.findall(
        r"```\n(cdk_multi_model_endpoint\.InvalidEndpointError.*?)\n```", (root / "README.md").read_text(), re.S
    )
    broken = (
        (app / "scoring.py")
        .read_text()
        .replace('instance_type="ml.m5.xlarge"', 'instance_type="ml.inf2.xlarge", variant_name="all_traffic"')
        .replace('instance_type="ml.m5.large"', 'instance_type="ml.inf2.xlarge", variant_name="all_traffic"')
    )
    (app / "broken.py").write_text(broken + '\n\nScoringStack(cdk.App(), "Scoring")\n')
    assert run(app, "broken.py").stderr.rstrip().endswith(block)


def test_commands_exist(root: Path) -> None:
    targets = re.findall(r"^make ([a-z]+)$", (root / "README.md").read_text(), re.M)
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", (root / "Makefile").read_text(), re.M)
