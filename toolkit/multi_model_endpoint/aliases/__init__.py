"""Stable names for models that are named by their content.

An alias, such as ``churn@prod``, names one target model of a store. It is a small object in the store's bucket: there
may be as many as one likes, moving one takes no deployment, and its history is that of the bucket's versions.
"""

from multi_model_endpoint.artifacts.alias_names import FOLDER, check_alias, check_target_model, is_target_model

from .errors import AliasMovedError, InvalidAliasError, NoEarlierModelError, UnknownAliasError
from .history import AT_ONCE, Version, all_aliases, history, rollback
from .store import Alias, Aliases

__all__ = [
    "AT_ONCE",
    "FOLDER",
    "Alias",
    "AliasMovedError",
    "Aliases",
    "InvalidAliasError",
    "NoEarlierModelError",
    "UnknownAliasError",
    "Version",
    "all_aliases",
    "check_alias",
    "check_target_model",
    "history",
    "is_target_model",
    "rollback",
]
