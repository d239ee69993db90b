"""The memory of one instance's server: what is set aside for which model, and who gets the next room."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mme_local.platform.model import InstanceModel


class Memory:
    """Sets memory aside for models.

    Loads that find memory full queue in ``lane``, so that the first of them gets the room that it waits for. Nothing
    but such loads ever waits for that lane.

    Args:
        budget: Bytes for all models together, by ``InstanceModel.memory_need``; no limit when left out.
        evict: Unloads one model that nobody uses, for the reason given, and says whether there was one.
    """

    def __init__(self, budget: int | None, evict: Callable[[str], Awaitable[bool]]) -> None:
        self.budget = budget
        self.used = 0
        self.lane = asyncio.Lock()
        self.starving = False
        self._evict = evict
        self._changed = asyncio.Event()

    async def reserve(self, model: InstanceModel) -> None:
        """Set memory aside, at once if there is some, else in the order of arrival."""
        if self.lane.locked() or not self._fits(model):
            async with self.lane:
                await self.make_room(model)
        else:
            self._take(model)

    async def make_room(self, model: InstanceModel) -> None:
        """Set memory aside, evicting others for it; for the holder of the lane."""
        while not self._fits(model):
            if not await self._evict(f"{model.target_model} needs memory"):
                await self.wait_for_room()
        self._take(model)

    async def wait_for_room(self) -> None:
        """Wait until a model goes idle, which then has to go at once, or until anything else changes."""
        self.starving = True
        self._changed.clear()
        try:
            await self._changed.wait()
        finally:
            self.starving = False

    def changed(self) -> None:
        """Let whoever waits for room look again."""
        self._changed.set()

    def give_back(self, model: InstanceModel) -> None:
        """Take note that a model takes no memory any more."""
        self.used -= model.memory_bytes
        model.memory_bytes = 0
        self.changed()

    def _fits(self, model: InstanceModel) -> bool:
        return self.budget is None or self.used + model.memory_need <= self.budget

    def _take(self, model: InstanceModel) -> None:
        model.memory_bytes = model.memory_need
        self.used += model.memory_bytes
