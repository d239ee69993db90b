"""One model as one instance knows it."""

from __future__ import annotations

import asyncio
import enum
import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

MEMORY_FACTOR = 1.2
"""Memory that a model is taken to need, as a multiple of its unpacked files.

No server tells what a model takes, and measuring a process that also serves others is guesswork. DJL Serving, one of
AWS's own multi-model servers, estimates with this factor when nothing is configured.
"""


class State(enum.Enum):
    """Where a model is on its way between S3 and the server's memory."""

    ABSENT = "absent"
    DOWNLOADING = "downloading"
    ON_DISK = "on disk"
    LOADING = "loading"
    LOADED = "loaded"
    UNLOADING = "unloading"


RESIDENT = (State.LOADING, State.LOADED, State.UNLOADING)
"""Where it takes memory in the server, or is about to."""


@dataclass(eq=False)
class InstanceModel:
    """A model of one instance.

    Attributes:
        url: Its artifact in S3, which is its identity.
        target_model: What its first caller sent as ``TargetModel``.
        name: Its opaque name in the server: Triton and Multi Model Server take no slashes.
        state: Where it is.
        directory: Its unpacked files, while it has any.
        disk_bytes: What these take.
        memory_bytes: What is set aside for it in memory, from before its load until after its unload.
        crowded: Whether other models were in memory, or came in, during its last attempt to load.
        in_use: Calls that wait for it or run on it. Such a model is neither unloaded nor deleted.
        forsaken: Whether the last of those who waited for it hung up. A load that has not begun by its turn then never
            does; those who were told to come again have not hung up.
        loads: How often it was loaded.
        given_up: Which of its loads did not answer a call; none when negative.
        loading: The one download and load under way.
        unloading: The unload under way.
    """

    url: str
    target_model: str
    name: str = field(init=False)
    state: State = State.ABSENT
    directory: Path | None = None
    disk_bytes: int = 0
    memory_bytes: int = 0
    crowded: bool = False
    in_use: int = 0
    forsaken: bool = False
    loads: int = 0
    given_up: int = -1
    loading: asyncio.Task[Exception | None] | None = None
    unloading: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        """Derive the opaque name."""
        self.name = hashlib.sha256(self.url.encode()).hexdigest()[:32]

    @property
    def memory_need(self) -> int:
        """Bytes of memory that it is taken to need once loaded."""
        return math.ceil(self.disk_bytes * MEMORY_FACTOR)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for it or runs on it."""
        return self.in_use == 0

    @property
    def resident(self) -> bool:
        """Whether it takes memory in the server, or is about to."""
        return self.state in RESIDENT
