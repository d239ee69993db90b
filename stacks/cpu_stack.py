"""A multi-model endpoint on CPUs: AWS's XGBoost image."""

from __future__ import annotations

from typing import Any

from constructs import Construct

from cdk_multi_model_endpoint import InferenceImage

from ._stack import MODELS, MultiModelStack


class CpuMultiModelStack(MultiModelStack):
    """Two XGBoost models behind one endpoint on ``ml.m5.xlarge``."""

    def __init__(self, scope: Construct, construct_id: str, **stack: Any) -> None:
        super().__init__(
            scope,
            construct_id,
            context="cpu",
            image=InferenceImage.built_in("xgboost", "3.2-0"),
            instance_type="ml.m5.xlarge",
            models=MODELS / "xgboost",
            **stack,
        )
