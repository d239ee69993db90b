"""What AWS's scikit-learn container does with a model in a multi-model endpoint.

The user's program has ``model_fn``, and ``input_fn``, ``predict_fn`` and ``output_fn`` or ``transform_fn`` where the
defaults, which are the container's, don't do. As there, any exception but the toolkit's own is answered 503 "Prediction
failed"; data that does not decode is refused with 400 here, to say why.
https://github.com/aws/sagemaker-scikit-learn-container
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sagemaker_inference import content_types, encoder  # type: ignore[import-untyped]
from sagemaker_inference.errors import (  # type: ignore[import-untyped]
    BaseInferenceToolkitError,
    GenericInferenceToolkitError,
    UnsupportedFormatError,
)
from sagemaker_inference.transformer import Transformer  # type: ignore[import-untyped]

from mme_local.servers.handlers.arrays import decode
from mme_local.servers.handlers.script_mode import handler, no_model_fn


class Defaults:
    """The functions that a user's program may leave out, all but the first."""

    default_model_fn = staticmethod(no_model_fn)

    def default_input_fn(self, input_data: Any, content_type: str) -> Any:
        """Decode CSV, JSON, NPY or NPZ; one dimension is one row."""
        try:
            array = decode(input_data, content_type)
            if len(array.shape) == 1:
                array = array.reshape(1, -1)
            return array.astype(np.float32) if content_type in content_types.UTF8_TYPES else array
        except (MemoryError, UnsupportedFormatError):
            raise
        except Exception as error:
            raise GenericInferenceToolkitError(400, f"cannot decode {content_type}: {error}") from error

    def default_predict_fn(self, data: Any, model: Any) -> Any:
        """Call the model's ``predict``."""
        return model.predict(data)

    def default_output_fn(self, prediction: Any, accept: str) -> tuple[Any, str]:
        """Encode as JSON, CSV or NPY."""
        return encoder.encode(prediction, accept), accept


class _Transformer(Transformer):  # type: ignore[misc]
    """The toolkit's, with the container's way to treat errors."""

    @staticmethod
    def handle_error(context: Any, inference_exception: Any, trace: str) -> Any:
        """Answer a toolkit's error; leave any other to the server, which answers 503, or 507 to a ``MemoryError``."""
        error = sys.exc_info()[1]
        assert error is not None  # the toolkit calls this while it handles one
        if not isinstance(error, BaseInferenceToolkitError):
            raise error
        context.set_response_status(error.status_code, error.message)
        return [error.message]


handle = handler(_Transformer(Defaults()))
