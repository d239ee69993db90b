"""Models as endpoints want them: packed, named by content, and laid out as their framework expects.

What ``ModelStore.add_model`` of the constructs and ``mme push`` have in common, so that both give a model the
same name and refuse the same mistakes.
"""

from .archive import Contents
from .errors import InvalidModelError
from .findings import Findings
from .layout import ModelServer, check_layout
from .naming import (
    DIGEST_LENGTH,
    OBJECT_KEY_MAX,
    TARGET_MODEL_PATTERN,
    model_name_problems,
    object_key_problems,
    target_model,
)
from .packing import Artifact, inspect, packed, stored
from .progress import each
from .sources import models_in

__all__ = [
    "DIGEST_LENGTH",
    "OBJECT_KEY_MAX",
    "TARGET_MODEL_PATTERN",
    "Artifact",
    "Contents",
    "Findings",
    "InvalidModelError",
    "ModelServer",
    "check_layout",
    "each",
    "inspect",
    "model_name_problems",
    "models_in",
    "object_key_problems",
    "packed",
    "stored",
    "target_model",
]
