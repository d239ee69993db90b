"""Inference images, and where they come from."""
