"""``mme push``: models into an S3 prefix, with the names that ``ModelStore.add_model`` gives them."""

from .command import push

__all__ = ["push"]
