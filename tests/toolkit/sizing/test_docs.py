"""The page about sizing."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from multi_model_endpoint.command import mme
from multi_model_endpoint.sizing import size
from multi_model_endpoint.sizing.report import HEADER


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "sizing.md").read_text()


def test_its_commands_work(page: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    shutil.copytree(root / "stacks" / "models" / "xgboost", "models", ignore=shutil.ignore_patterns("house-price"))
    Path("calls.csv").write_text("time,model\n" + "".join(f"{second},customer-churn\n" for second in range(100)))
    Path("payloads").mkdir()
    Path("payloads", "customer-churn.csv").write_text("3,95.5,5")
    commands = re.findall(r"^```\n(mme .*)\n```$", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        result = CliRunner().invoke(mme, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
        assert result.stdout.split("\n")[0].split() == " ".join(HEADER).split()
        if "--measure" in command:
            # a process of its own, with Python and XGBoost, for some kilobytes of a model
            (overhead,) = re.findall(r"and ([\d.]+) MB \(--overhead\), measured of 1 models", result.stdout)
            assert 10 < float(overhead) < 500
            (milliseconds,) = re.findall(r"A call takes ([\d.]+) ms of a processor", result.stdout)
            assert 0.1 < float(milliseconds) < 500


def test_its_options_are_there(page: str) -> None:
    options = {name for parameter in size.params if isinstance(parameter, click.Option) for name in parameter.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", page)) <= options
    assert all(f"`{column}`" in page for column in HEADER if column not in {"INSTANCE TYPE", "COUNT"})
