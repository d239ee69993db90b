"""The committed sample models are what their script makes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Kit


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    return [number for number in value if isinstance(number, float)]


def test_the_script_makes_the_samples_again(kit: type[Kit], tmp_path: Path) -> None:
    models = kit.directory("iris").parents[1]
    shutil.copy(models / "make_models.py", tmp_path)
    for model_file in models.glob("triton/*/1/model.py"):
        (tmp_path / model_file.relative_to(models)).parent.mkdir(parents=True)
        shutil.copy(model_file, tmp_path / model_file.relative_to(models))
    subprocess.run([sys.executable, "-W", "error", str(tmp_path / "make_models.py")], check=True, timeout=60)
    again = json.loads((tmp_path / "samples.json").read_text(encoding="utf-8"))
    assert [each["model"] for each in again] == [each["model"] for each in kit.samples]
    for made, committed in zip(again, kit.samples, strict=True):
        assert made["body"] == committed["body"]
        # Another processor may round the last digits of a training run otherwise.
        assert numbers(made["prediction"]) == pytest.approx(numbers(committed["prediction"]), rel=1e-2, abs=1e-2)


def test_the_samples_are_small(kit: type[Kit]) -> None:
    for each in kit.samples:
        size = sum(path.stat().st_size for path in kit.directory(each["model"]).rglob("*") if path.is_file())
        assert size < 20_000
