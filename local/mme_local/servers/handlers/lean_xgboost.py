"""XGBoost for boosters alone: its estimators need scikit-learn, which takes longer to import than all the rest."""

from __future__ import annotations

import sys

_hidden = "sklearn" not in sys.modules
if _hidden:
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # so Python has it that there is no such module
try:
    import xgboost
finally:
    if _hidden:
        del sys.modules["sklearn"]

__all__ = ["xgboost"]
