"""What IAM is asked about a call, when policies are enforced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Permission:
    """An action on a resource, with the condition keys of the call."""

    action: str
    resource: str = "*"
    context: Mapping[str, Any] = field(default_factory=dict)
