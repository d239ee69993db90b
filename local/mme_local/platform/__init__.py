"""SageMaker's part between the caller and the model servers: routing, loading, evicting, errors and metrics."""

from mme_local.platform.hosting import LocalHosting
from mme_local.platform.settings import Settings

__all__ = ["LocalHosting", "Settings"]
