"""Loads an MLflow model in Triton's Python backend; mme push wrote it beside the model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas
import triton_python_backend_utils as pb


class TritonPythonModel:
    """The model by MLflow, whose signature says what its tensors are."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load it."""
        config = json.loads(args["model_config"])
        self._inputs = [each["name"] for each in config["input"]]
        self._outputs = {each["name"]: pb.triton_string_to_numpy(each["data_type"]) for each in config["output"]}
        self._model = mlflow.pyfunc.load_model(os.path.join(args["model_repository"], args["model_version"], "mlflow"))
        signature = self._model.metadata.signature
        self._columns = not signature.inputs.is_tensor_spec()
        self._named = signature.inputs.has_input_names()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request, or say what is wrong with it."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            found = {name: pb.get_input_tensor_by_name(request, name) for name in self._inputs}
            data = {name: _array(tensor) for name, tensor in found.items() if tensor is not None}
            prediction = self._model.predict(self._given(data))
            tensors = [pb.Tensor(name, array) for name, array in self._arrays(prediction)]
            return pb.InferenceResponse(output_tensors=tensors)
        except MemoryError:
            raise
        except Exception as error:
            return pb.InferenceResponse(error=pb.TritonError(str(error)))

    def _given(self, data: dict[str, Any]) -> Any:
        if self._columns:
            frame = pandas.DataFrame(data)
            return frame if self._named else frame.to_numpy()
        return data if self._named else data["input"]

    def _arrays(self, prediction: Any) -> list[tuple[str, Any]]:
        single = len(self._outputs) == 1 and not isinstance(prediction, dict | pandas.DataFrame)
        return [
            (name, np.asarray(prediction if single else prediction[name]).astype(kind))
            for name, kind in self._outputs.items()
        ]


def _array(tensor: Any) -> Any:
    array = tensor.as_numpy()
    return array if array.dtype != np.object_ else np.vectorize(lambda value: value.decode(), otypes=[object])(array)
