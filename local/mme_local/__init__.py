"""The local endpoint: SageMaker's multi-model endpoints on your own machine, behind AWS's own API.

``mme serve`` runs it.
"""
