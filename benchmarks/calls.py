"""One caller or several, and what they wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True)
class Route:
    """A way to one model: through the local endpoint, or straight to the model server."""

    session: aiohttp.ClientSession
    url: str
    headers: Mapping[str, str]
    body: bytes

    async def call(self) -> bytes:
        """Call the model once."""
        async with self.session.post(self.url, data=self.body, headers=self.headers) as response:
            answer = await response.read()
            if response.status != 200:
                raise RuntimeError(f"{self.url} answered {response.status}: {answer[:500]!r}")
            return answer

    async def seconds(self, count: int) -> list[float]:
        """How long each of that many calls takes, one after the other."""
        taken = []
        for _ in range(count):
            started = time.perf_counter()
            await self.call()
            taken.append(time.perf_counter() - started)
        return taken

    async def rate(self, callers: int, seconds: float) -> float:
        """Calls a second of several callers, none of which waits for another."""
        started = time.perf_counter()

        async def caller() -> int:
            count = 0
            while time.perf_counter() - started < seconds:
                await self.call()
                count += 1
            return count

        counts = await asyncio.gather(*(caller() for _ in range(callers)))
        return sum(counts) / (time.perf_counter() - started)
