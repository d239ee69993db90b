"""Stable names for models that are named by their content.

An alias, such as ``churn@prod``, names one target model of a store. It is a small object in the store's bucket: there
may be as many as one likes, moving one takes no deployment, and its history is that of the bucket's versions.
"""

from .errors import AliasMovedError, InvalidAliasError, UnknownAliasError
from .names import check_alias, check_target_model, is_target_model
from .store import FOLDER, Alias, Aliases

__all__ = [
    "FOLDER",
    "Alias",
    "AliasMovedError",
    "Aliases",
    "InvalidAliasError",
    "UnknownAliasError",
    "check_alias",
    "check_target_model",
    "is_target_model",
]
