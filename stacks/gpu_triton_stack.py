"""A multi-model endpoint on GPUs: NVIDIA Triton."""

from __future__ import annotations

from typing import Any

from constructs import Construct

from cdk_multi_model_endpoint import InferenceImage

from ._stack import MODELS, MultiModelStack


class GpuTritonMultiModelStack(MultiModelStack):
    """Two Triton models behind one endpoint on ``ml.g4dn.4xlarge``."""

    def __init__(self, scope: Construct, construct_id: str, **stack: Any) -> None:
        super().__init__(
            scope,
            construct_id,
            context="gpu",
            image=InferenceImage.triton("26.05"),
            instance_type="ml.g4dn.4xlarge",
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
            models=MODELS / "triton",
            **stack,
        )
