"""The toolkit for Amazon SageMaker multi-model endpoints: what happens before and after a deployment.

``mme --help`` lists what it does; ``MultiModelClient`` calls the models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calling import Answer, MultiModelClient

__all__ = ["Answer", "MultiModelClient"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: who packs models needs no boto3, and who calls them no click."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import calling

    return getattr(calling, name)
