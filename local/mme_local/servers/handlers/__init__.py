"""Inference handlers for Multi Model Server's worker processes.

AWS's XGBoost and scikit-learn containers are not on PyPI, so these stand in for their handlers: same artifacts, same
request and response formats. Each worker process serves one model and imports one of these modules; keep them light.
"""

MODEL_DIRECTORY = "/opt/ml/model"
"""Where SageMaker puts the model of a container that has a single one."""


def in_model(directory: str) -> bool:
    """Whether a container's directory is in its model."""
    return f"{directory}/".startswith(f"{MODEL_DIRECTORY}/")
