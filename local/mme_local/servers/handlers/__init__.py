"""Inference handlers for Multi Model Server's worker processes.

AWS's XGBoost and scikit-learn containers are not on PyPI, so these stand in for their handlers: same artifacts, same
request and response formats. Each worker process serves one model and imports one of these modules; keep them light.
"""
