"""Production variants: their metrics, scaling and monitoring, and what their instances write."""
