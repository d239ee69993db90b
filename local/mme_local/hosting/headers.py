"""The headers of InvokeEndpoint, in lower case as both planes look them up."""

from __future__ import annotations

from typing import Final

TARGET_MODEL_SENT: Final = "X-Amzn-SageMaker-Target-Model"
"""As containers get it, whose programs may look it up by this spelling."""
TARGET_MODEL: Final = TARGET_MODEL_SENT.lower()
TARGET_VARIANT: Final = "x-amzn-sagemaker-target-variant"
TARGET_CONTAINER: Final = "x-amzn-sagemaker-target-container-hostname"
INFERENCE_COMPONENT: Final = "x-amzn-sagemaker-inference-component"
INFERENCE_ID: Final = "x-amzn-sagemaker-inference-id"
CUSTOM_ATTRIBUTES: Final = "x-amzn-sagemaker-custom-attributes"
