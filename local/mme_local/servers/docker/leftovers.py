"""Whose a container is, so that the next start removes those of processes that were killed together with launchers."""

from __future__ import annotations

import fcntl
import os
import platform
from pathlib import Path

OWNER = "mme-local.owner"
"""The label of what we make: the machine and the lock file of whom it belongs to."""

IDENTITY = "container"
"""The file in a server's folder with its container's id."""


def owner(lock: Path) -> str:
    """The label's value for the process that holds a lock on this file."""
    return f"{platform.node()}:{lock}"


def is_left_behind(whose: str) -> bool:
    """Whether the process that a label names is gone; other machines and users are not ours to judge."""
    machine, _, lock = whose.partition(":")
    if machine != platform.node():
        return False
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
