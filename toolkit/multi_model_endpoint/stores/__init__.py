"""What lies in a store, what it is called, and what of it nobody needs any more."""

from .alias_command import alias
from .command import ls, prune

__all__ = ["alias", "ls", "prune"]
