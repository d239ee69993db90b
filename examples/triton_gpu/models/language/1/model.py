"""Triton's Python backend for the language model: its counts are in ``weights.npz`` beside this file."""

import re
import zlib
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """The class that Triton's Python backend looks for."""

    def initialize(self, args):
        """Read the log-probabilities once, at load."""
        with np.load(Path(__file__).with_name("weights.npz")) as weights:
            self.log_probabilities = weights["log_probabilities"]
            self.languages = weights["languages"].astype(np.bytes_)

    def execute(self, requests):
        """Answer each request of the batch by itself."""
        return [self._detect(request) for request in requests]

    def _detect(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
        scores = np.stack([self._scores(text.decode("utf-8", "replace")) for text in texts])
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        confidence = (odds.max(axis=1) / odds.sum(axis=1)).astype(np.float32).reshape(-1, 1)
        languages = self.languages[scores.argmax(axis=1)].astype(object).reshape(-1, 1)
        return pb_utils.InferenceResponse(
            output_tensors=[pb_utils.Tensor("LANGUAGE", languages), pb_utils.Tensor("CONFIDENCE", confidence)]
        )

    def _scores(self, text):
        buckets = self.log_probabilities.shape[1]
        words = (f" {word} " for word in re.findall(r"\w+", text.lower()))
        trigrams = [word[i : i + 3] for word in words for i in range(len(word) - 2)]
        hashed = [zlib.crc32(trigram.encode()) % buckets for trigram in trigrams]
        return self.log_probabilities[:, hashed].sum(axis=1)
