"""Load tests of multi-model endpoints, on Locust: what one instance takes.

In a locustfile of one's own:

    from multi_model_endpoint.load import MultiModelUser, Popularity, TargetShape

Importing the user or the shape imports Locust, which comes with the extra ``load`` and replaces Python's sockets and
threads by gevent's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multi_model_endpoint.traffic import Payload, payloads_in

from .popularity import Popularity
from .ramp import Targets

if TYPE_CHECKING:
    from .shape import TargetShape
    from .user import MultiModelUser

__all__ = ["MultiModelUser", "Payload", "Popularity", "TargetShape", "Targets", "payloads_in"]


def __getattr__(name: str) -> Any:
    """Import Locust when it is asked for, and not before."""
    if name == "MultiModelUser":
        from .user import MultiModelUser

        return MultiModelUser
    if name == "TargetShape":
        from .shape import TargetShape

        return TargetShape
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
