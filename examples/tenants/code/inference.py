"""The program of the tenants' container: it loads the model of whichever tenant is called.

Requests and answers are what the scikit-learn container does by itself: CSV, JSON or NPY.
"""

from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]


def model_fn(model_dir: str) -> Any:
    """Load a tenant's model."""
    return joblib.load(Path(model_dir, "model.joblib"))
