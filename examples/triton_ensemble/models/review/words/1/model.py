"""The first model: how often a text has each of the words that the second model knows."""

import re

import numpy as np
import triton_python_backend_utils as pb_utils

WORDS = ["good", "great", "love", "bad", "slow", "broken"]


class TritonPythonModel:
    """The class that Triton's Python backend looks for."""

    def execute(self, requests):
        """Answer each request of the batch by itself."""
        return [self._count(request) for request in requests]

    def _count(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
        found = [re.findall(r"\w+", text.decode("utf-8", "replace").lower()) for text in texts]
        counts = np.array([[words.count(word) for word in WORDS] for words in found], np.float32)
        return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("COUNTS", counts)])
