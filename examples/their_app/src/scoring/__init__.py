"""How likely a customer is to leave."""

from .client import Customer, Scoring

__all__ = ["Customer", "Scoring"]
