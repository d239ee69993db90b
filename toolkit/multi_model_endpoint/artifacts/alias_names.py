"""What an alias may be called, and how it is told from a target model."""

from __future__ import annotations

import re

TARGET_MODEL_SUFFIX = ".tar.gz"
"""What ends in it is a target model, and anything else an alias."""

FOLDER = ".aliases/"
"""Below the store's prefix. A model with such a name is in nobody's way: it ends in ``.tar.gz``, and no alias does."""

_MAX = 256
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_ALIAS = re.compile(rf"(?:{_SEGMENT}/)*{_SEGMENT}(?:@{_SEGMENT})?")
_TARGET_MODEL = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*\.tar\.gz")


def is_target_model(name: str) -> bool:
    """Whether a name is a target model's, and so no alias's."""
    return name.endswith(TARGET_MODEL_SUFFIX)


def check_alias(name: str) -> None:
    """Refuse what can't be an alias.

    Letters, digits, ``_``, ``.`` and ``-``, in segments between slashes that begin with none of the latter two, and
    maybe a last one after ``@``, such as ``churn``, ``churn@prod`` or ``tenant_a/churn@champion``: nothing that means
    something in the pattern of an IAM policy. At most 256 characters.

    Raises:
        ValueError: With what is wrong.
    """
    if is_target_model(name):
        raise ValueError(f"alias must not end in '{TARGET_MODEL_SUFFIX}', as target models do, got {name!r}")
    if len(name) > _MAX or not _ALIAS.fullmatch(name):
        raise ValueError(
            f"alias must be at most {_MAX} characters such as 'churn', 'churn@prod' or 'tenant_a/churn@champion'"
            f" (letters, digits, '_', '.' and '-'), got {name!r}"
        )


def check_target_model(name: str) -> None:
    """Refuse what can't be a target model of a store.

    Raises:
        ValueError: With what is wrong.
    """
    if len(name) > 1024 or not _TARGET_MODEL.fullmatch(name):
        raise ValueError(
            f"target_model must be an archive below the prefix, such as 'churn-1a2b3c4d.tar.gz', got {name!r}"
        )
