"""Triton's Python backend for the iris model: the weights are in ``weights.npz`` beside this file."""

from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """The class that Triton's Python backend looks for."""

    def initialize(self, args):
        """Read the weights once, at load."""
        with np.load(Path(__file__).with_name("weights.npz")) as weights:
            self.coefficients = weights["coefficients"]
            self.intercepts = weights["intercepts"]
            self.species = weights["species"].astype(np.bytes_).astype(object)

    def execute(self, requests):
        """Answer each request of the batch by itself."""
        return [self._classify(request) for request in requests]

    def _classify(self, request):
        measurements = pb_utils.get_input_tensor_by_name(request, "MEASUREMENTS").as_numpy()
        logits = measurements @ self.coefficients.T + self.intercepts
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        species = self.species[probabilities.argmax(axis=1)].reshape(-1, 1)
        return pb_utils.InferenceResponse(
            output_tensors=[pb_utils.Tensor("SPECIES", species), pb_utils.Tensor("PROBABILITIES", probabilities)]
        )
