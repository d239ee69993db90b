"""What an endpoint is asked for: its models, and how often each is called."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from multi_model_endpoint.store_url import StoreUrl

_DRAWN = 40_000


@dataclass(frozen=True)
class SizedModel:
    """A model.

    Attributes:
        name: Its name, or target model.
        download: The bytes that are downloaded: of its archive, or of its files where there is none yet.
        unpacked: The bytes of its files; of its archive where that is all that is known.
        measured: The bytes that it was seen to take in memory.
        is_unpacked: Whether ``unpacked`` is known.
        path: Where its files are, if they are here.
        store: Where its archive is, if it is in S3.
    """

    name: str
    download: int
    unpacked: int
    measured: int | None = None
    is_unpacked: bool = True
    path: Path | None = field(default=None, compare=False)
    store: StoreUrl | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Demand:
    """Models and their calls.

    Attributes:
        models: The models by name.
        shares: The share of all calls that each gets.
        rate: Calls a second.
        trace: The models in the order of their calls, where such are known.
    """

    models: Mapping[str, SizedModel]
    shares: Mapping[str, float]
    rate: float
    trace: Sequence[str] | None = None

    @cached_property
    def drawn(self) -> list[str]:
        """Calls at random by their shares, always the same."""
        chance = random.Random(0)  # noqa: S311 - no secret
        return chance.choices(list(self.shares), list(self.shares.values()), k=2 * _DRAWN)
