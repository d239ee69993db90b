"""What AWS's scikit-learn container does with a model in a multi-model endpoint.

The inference toolkit's own transformer runs the user's ``inference.py`` (or ``SAGEMAKER_PROGRAM``) from the artifact's
root or its ``code`` folder: ``model_fn``, ``input_fn``, ``predict_fn``, ``output_fn`` or ``transform_fn``. The defaults
for those that it does not define are the container's, with one addition: AWS's has no default ``model_fn``, this one
loads ``model.joblib``. https://github.com/aws/sagemaker-scikit-learn-container
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sagemaker_inference import content_types, decoder, encoder, utils  # type: ignore[import-untyped]
from sagemaker_inference.errors import GenericInferenceToolkitError  # type: ignore[import-untyped]
from sagemaker_inference.transformer import Transformer  # type: ignore[import-untyped]


class Defaults:
    """The functions that a user's module may leave out."""

    def default_model_fn(self, model_dir: str) -> Any:
        """Load ``model.joblib``."""
        path = Path(model_dir) / "model.joblib"
        if not path.is_file():
            raise ValueError("the archive has neither an inference.py with a model_fn nor a model.joblib at its root")
        print("loading model.joblib: on SageMaker the model needs an inference.py with a model_fn", file=sys.stderr)
        import joblib  # type: ignore[import-untyped]

        return joblib.load(path)

    def default_input_fn(self, input_data: Any, content_type: str) -> Any:
        """Decode CSV, JSON, NPY or NPZ; 415 for another type and 400 for what does not decode."""
        try:
            if content_type == content_types.NPY:
                # Not the toolkit's decoder, which unpickles what a caller sends; AWS's images patch that too.
                return np.load(io.BytesIO(input_data), allow_pickle=False)
            array = decoder.decode(input_data, content_type)
            return array.astype(np.float32) if content_type in content_types.UTF8_TYPES else array
        except MemoryError as error:
            raise GenericInferenceToolkitError(507, "Out of memory") from error
        except Exception as error:
            status = 415 if _unsupported(error) else 400
            raise GenericInferenceToolkitError(status, str(error), f"cannot decode {content_type}") from error

    def default_predict_fn(self, data: Any, model: Any) -> Any:
        """Call the model's ``predict``."""
        try:
            return model.predict(data)
        except MemoryError as error:
            raise GenericInferenceToolkitError(507, "Out of memory") from error

    def default_output_fn(self, prediction: Any, accept: str) -> tuple[Any, str]:
        """Encode as the first of the accepted types that is JSON, CSV or NPY; 406 when none is."""
        for content_type in utils.parse_accept(accept):
            if content_type in encoder.SUPPORTED_CONTENT_TYPES:
                return encoder.encode(prediction, content_type), content_type
        raise GenericInferenceToolkitError(406, f"cannot answer with {accept}: accept text/csv or application/json")


_transformer = Transformer(Defaults())


def handle(data: list[dict[str, Any]] | None, context: Any) -> Any:
    """Multi Model Server's entry point: the first call, without data, loads the model."""
    if data is None:
        model_dir = context.system_properties["model_dir"]
        sys.path[:0] = [os.path.join(model_dir, "code"), model_dir]
        _transformer.validate_and_initialize(model_dir=model_dir, context=context)
        return None
    return _transformer.transform(data, context)


def _unsupported(error: Exception) -> bool:
    return type(error).__name__ == "UnsupportedFormatError"
