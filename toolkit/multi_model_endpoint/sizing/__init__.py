"""Which instances, and how many: the arithmetic of an endpoint's cache, and ``mme size``."""

from .command import size

__all__ = ["size"]
