"""Script mode: the inference toolkit's transformer around the user's program, ``SAGEMAKER_PROGRAM``.

The images install the program from ``SAGEMAKER_SUBMIT_DIRECTORY`` when they start, so that each model's worker can
import it; a file of that name at the root of a model comes before it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from sagemaker_inference.transformer import Transformer  # type: ignore[import-untyped]

from mme_local.servers.handlers import MODEL_DIRECTORY, in_model
from mme_local.servers.handlers.frame import Handle, framed


def handler(transformer: Transformer) -> Handle:
    """Multi Model Server's entry point: the first call, without data, loads the model."""

    @framed
    def handle(data: list[dict[str, Any]] | None, context: Any) -> Any:
        if data is None:
            model_dir = context.system_properties["model_dir"]
            code = os.environ["SAGEMAKER_SUBMIT_DIRECTORY"]
            if in_model(code):
                code = model_dir + code.removeprefix(MODEL_DIRECTORY)
            sys.path[:0] = [model_dir, code]
            transformer.validate_and_initialize(model_dir=model_dir, context=context)
            return None
        return transformer.transform(data, context)

    return handle


def no_model_fn(model_dir: str) -> Any:
    """What both images do about a program without a ``model_fn``."""
    raise NotImplementedError("the program must have a model_fn: the container does not load models by itself")
