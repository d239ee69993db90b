"""Arrays that callers send."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from sagemaker_inference import content_types, decoder  # type: ignore[import-untyped]


def decode(data: Any, content_type: str) -> Any:
    """Decode CSV, JSON, NPY or NPZ."""
    if content_type == content_types.NPY:
        # Not the toolkit's decoder, which unpickles what a caller sends; AWS's images patch that too.
        return np.load(io.BytesIO(data), allow_pickle=False)
    return decoder.decode(data, content_type)
