"""Every folder here is an example, and whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = sorted(path.parent.name for path in HERE.glob("*/cdk.json"))


def test_every_folder_is_in_the_table() -> None:
    folders = {path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
    listed = re.findall(r"^\| \[(\w+)\]\(\1/README\.md\) \|", (HERE / "README.md").read_text(), re.MULTILINE)
    assert listed == EXAMPLES == sorted(folders - {"cdk.out"})


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_an_app_with_a_readme_and_a_test(name: str) -> None:
    folder = HERE / name
    assert json.loads((folder / "cdk.json").read_text())["app"] == "python3 app.py"
    assert (folder / "app.py").read_text().startswith('"""')
    assert list(folder.rglob("test_*.py"))
    readme = (folder / "README.md").read_text()
    assert re.search(r"^## On your own machine$", readme, re.MULTILINE)
    assert re.search(r"^## In your accounts?$", readme, re.MULTILINE)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_needs_nothing_of_what_is_beside_it(name: str) -> None:
    for program in (HERE / name).rglob("*.py"):
        text = program.read_text()
        depth = len(program.relative_to(HERE / name).parts)
        assert all(int(up) < depth for up in re.findall(r"parents\[(\d+)\]", text)), program
        assert not re.search(r"parent\.parent|from (\.\.|tests|examples)", text), program


def test_a_copy_is_tested_as_the_readme_says(tmp_path: Path) -> None:
    project = shutil.copytree(HERE / "quickstart", tmp_path / "my-project")
    shutil.copy(HERE / "conftest.py", project)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "unchanged"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
