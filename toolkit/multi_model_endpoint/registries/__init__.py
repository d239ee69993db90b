"""Models from registries, packed as the images of endpoints load them."""

from .mlflow import Fetched, fetched, is_mlflow

__all__ = ["Fetched", "fetched", "is_mlflow"]
