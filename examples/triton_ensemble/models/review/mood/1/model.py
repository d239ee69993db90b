"""The second model: whoever counts good words more often than bad ones is content."""

import numpy as np
import triton_python_backend_utils as pb_utils

WEIGHTS = np.array([1, 2, 2, -1, -1, -2], np.float32)


class TritonPythonModel:
    """The class that Triton's Python backend looks for."""

    def execute(self, requests):
        """Answer each request of the batch by itself."""
        return [self._judge(request) for request in requests]

    def _judge(self, request):
        scores = pb_utils.get_input_tensor_by_name(request, "COUNTS").as_numpy() @ WEIGHTS
        opinions = np.where(scores > 0, b"content", b"not content").astype(object)
        return pb_utils.InferenceResponse(
            output_tensors=[
                pb_utils.Tensor("OPINION", opinions.reshape(-1, 1)),
                pb_utils.Tensor("SCORE", scores.astype(np.float32).reshape(-1, 1)),
            ]
        )
