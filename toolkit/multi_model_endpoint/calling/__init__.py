"""Calls of models: until they are loaded, by alias or by name, with a deadline."""

from .client import Answer, MultiModelClient

__all__ = ["Answer", "MultiModelClient"]
