"""The program of the container: what a release changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xgboost

DIGITS = 3


def model_fn(model_dir: str) -> xgboost.Booster:
    """Load whichever model is called."""
    return xgboost.Booster(model_file=Path(model_dir, "xgboost-model"))


def output_fn(prediction: Any, accept: str) -> str:
    """Say it in JSON."""
    return json.dumps({"leaves": [round(float(value), DIGITS) for value in prediction]})
