"""What AWS's PyTorch container does with a model in a multi-model endpoint.

A model is TorchScript, ``model.pt``, or brings ``code/inference.py`` with ``model_fn``, and with ``input_fn``,
``predict_fn`` and ``output_fn`` or ``transform_fn`` where the defaults, which are the container's, don't do.
https://github.com/aws/sagemaker-pytorch-inference-toolkit
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sagemaker_inference import content_types, encoder, utils  # type: ignore[import-untyped]
from sagemaker_inference.errors import UnsupportedFormatError  # type: ignore[import-untyped]
from sagemaker_inference.transformer import Transformer  # type: ignore[import-untyped]

from mme_local.servers.handlers.arrays import decode
from mme_local.servers.handlers.script_mode import handler

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Defaults:
    """The functions that a model's program may leave out; a model without a program has only these."""

    def default_model_fn(self, model_dir: str) -> Any:
        """Load ``model.pt``, or the one file of another name that ends in ``.pt`` or ``.pth``, as TorchScript."""
        if Path(model_dir, "MAR-INF").is_dir():
            raise ValueError(
                "the model is an archive of TorchServe's, whose handler is not run here: give it code/inference.py "
                "with a model_fn, or its TorchScript as model.pt"
            )
        path = Path(model_dir, "model.pt")
        if not path.exists():
            files = sorted(file for file in Path(model_dir).iterdir() if file.suffix in (".pt", ".pth"))
            if len(files) != 1:
                raise ValueError(
                    f"Exactly one .pth or .pt file is required for PyTorch models: {[file.name for file in files]}"
                )
            (path,) = files
        try:
            return torch.jit.load(path, map_location=DEVICE)
        except RuntimeError as error:
            raise ValueError(f"Failed to load {path}. Please ensure model is saved using torchscript.") from error

    def default_input_fn(self, input_data: Any, content_type: str) -> torch.Tensor:
        """Decode CSV and JSON, to 32 bits, or NPY and NPZ."""
        array = decode(input_data, content_type)
        tensor = torch.FloatTensor(array) if content_type in content_types.UTF8_TYPES else torch.from_numpy(array)
        return tensor.to(DEVICE)

    def default_predict_fn(self, data: torch.Tensor, model: Any) -> Any:
        """Call the model."""
        with torch.no_grad():
            return model.to(DEVICE).eval()(data.to(DEVICE))

    def default_output_fn(self, prediction: Any, accept: str) -> Any:
        """Encode as JSON, CSV or NPY, whichever the caller accepts first."""
        if isinstance(prediction, torch.Tensor):
            prediction = prediction.detach().cpu().numpy().tolist()
        for content_type in utils.parse_accept(accept):
            if content_type in encoder.SUPPORTED_CONTENT_TYPES:
                encoded = encoder.encode(prediction, content_type)
                return encoded.encode() if content_type == content_types.CSV else encoded
        raise UnsupportedFormatError(accept)


handle = handler(Transformer(Defaults()))
