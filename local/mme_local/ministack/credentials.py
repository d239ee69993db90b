"""The credentials of one start: whoever knows them may run code on this machine, so nobody can guess them."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass


@dataclass(frozen=True)
class Credentials:
    """An access key and its secret.

    Args:
        access_key: Begins with ``LOCAL``, so that nobody takes it for AWS's.
        secret_key: What requests are signed with.
    """

    access_key: str
    secret_key: str

    @classmethod
    def random(cls) -> Credentials:
        """New ones."""
        return cls("LOCAL" + base64.b32encode(secrets.token_bytes(15)).decode(), secrets.token_urlsafe(30))
