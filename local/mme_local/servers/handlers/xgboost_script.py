"""What AWS's XGBoost container does in script mode, when ``SAGEMAKER_PROGRAM`` is set.

As the scikit-learn container, with the inference toolkit's own treatment of errors, 500 for any, and its own defaults.
https://github.com/aws/sagemaker-xgboost-container
"""

from __future__ import annotations

from typing import Any

import xgboost
from sagemaker_inference import encoder  # type: ignore[import-untyped]
from sagemaker_inference.transformer import Transformer  # type: ignore[import-untyped]

from mme_local.servers.handlers import recordio, xgboost_model
from mme_local.servers.handlers.script_mode import handler, no_model_fn


class Defaults:
    """The functions that a user's program may leave out, all but the first."""

    default_model_fn = staticmethod(no_model_fn)

    def default_input_fn(self, input_data: Any, content_type: str) -> xgboost.DMatrix:
        """Decode CSV, LIBSVM, where what is left out is 0 here, or RecordIO protobuf."""
        media_type = xgboost_model.media_type(content_type)
        if media_type == "application/x-recordio-protobuf":
            return xgboost.DMatrix(recordio.decode(bytes(input_data)))
        text = input_data if isinstance(input_data, str) else bytes(input_data).decode()
        if media_type == "text/csv":
            return xgboost.DMatrix(xgboost_model.csv(text))
        if media_type in ("text/libsvm", "text/x-libsvm"):
            return xgboost.DMatrix(xgboost_model.libsvm(text.strip()).toarray())
        raise ValueError(f"Content type {media_type} is not supported by this framework")

    def default_predict_fn(self, data: xgboost.DMatrix, model: xgboost.Booster) -> Any:
        """Call the booster's ``predict``."""
        return model.predict(data, validate_features=False)

    def default_output_fn(self, prediction: Any, accept: str) -> Any:
        """Encode as JSON, CSV or NPY."""
        return encoder.encode(prediction, accept)


handle = handler(Transformer(Defaults()))
