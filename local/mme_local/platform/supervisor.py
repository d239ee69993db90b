"""One container on one instance: a server process that is replaced when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from mme_local.platform.settings import Settings
from mme_local.servers.base import ContainerServer, ServerError

_log = structlog.get_logger("mme_local.platform")


class Supervisor:
    """Keeps one model server running.

    A server counts as dead when it misses its pings, or when its owner has it replaced. Its successor is a new object
    with an empty memory, so everything that was loaded is gone: ``on_down`` tells the model cache, and ``generation``
    lets a caller that saw a failure say which server failed.

    Args:
        make: Makes a server that is not started yet; the number of earlier ones is its argument.
        startup_timeout: Seconds that a start may take.
        settings: Times of health checks and restarts.
        label: What the log calls it.

    Attributes:
        server: The present server.
        generation: How many servers there were before it.
        up: Whether it takes calls.
        files: Says before each start where the server's models are.
        prepare: Runs on each new server before it takes calls; loads the model of a single-model container.
        on_down: Runs when the server is known to be dead.
    """

    def __init__(
        self,
        make: Callable[[int], ContainerServer],
        *,
        startup_timeout: float,
        settings: Settings,
        label: str,
    ) -> None:
        self._make = make
        self.files: Callable[[], Awaitable[Path | None]] | None = None
        self.prepare: Callable[[ContainerServer], Awaitable[None]] | None = None
        self.on_down: Callable[[], None] | None = None
        self._startup_timeout = startup_timeout
        self._settings = settings
        self._label = label
        self.server = make(0)
        self.generation = 0
        self.up = False
        self._failure: str | None = None
        self._deaths = 0
        self._last_death = 0.0
        self._restarting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._replaced: set[int] = set()

    async def start(self) -> None:
        """Start the first server; ``ServerError`` when it does not come up."""
        await self._start(self.server)
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop the server, also in the middle of a restart."""
        self._stopping = True
        self.up = False
        for task in (self._watching, self._restarting):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self.server.stop()

    async def ready(self, within: float) -> ContainerServer:
        """Return the running server, waiting ``within`` seconds for a restart; ``ServerError`` when there is none."""
        if self.up:
            return self.server
        if self._restarting is None and not self._stopping and self._rested():
            self._restart()
        if self._restarting is not None:
            await asyncio.wait({self._restarting}, timeout=within)
        if not self.up:
            raise ServerError(self._failure or "the model server is restarting")
        return self.server

    async def died(self, generation: int) -> bool:
        """Find out whether the server of ``generation``, which did not answer, is gone; if so, replace it.

        Returns at once after the verdict: ``ready`` waits for the successor.
        """
        if generation != self.generation or not self.up:
            return generation != self.generation or self._restarting is not None
        if await self._pings(2):
            return False
        if generation == self.generation and self.up and not self._stopping:
            self._restart()
        return True

    def replace(self, generation: int) -> None:
        """Replace the server of ``generation``, which runs but can't go on; its calls are ``cut_off``."""
        if generation == self.generation and self.up and not self._stopping:
            self._replaced.add(generation)
            self._restart()

    def cut_off(self, generation: int) -> bool:
        """Whether the server of ``generation`` had to go for one call's sake: the others are worth sending again."""
        return generation in self._replaced

    def _rested(self) -> bool:
        return time.monotonic() - self._last_death > self._settings.restart_cooldown

    def _restart(self) -> None:
        now = time.monotonic()
        self._deaths = 1 if self._rested() else self._deaths + 1
        self._last_death = now
        self.up = False
        self.generation += 1
        _log.warning("server died", server=self._label, deaths=self._deaths)
        if self.on_down is not None:
            self.on_down()
        self._restarting = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        try:
            await self._stop_quietly(self.server)
            for attempt in range(self._settings.max_restarts):
                # The first restart in a while is immediate; a server that keeps dying gets slower and slower ones.
                await asyncio.sleep(self._pause(self._deaths - 1 + attempt))
                self.server = self._make(self.generation)
                try:
                    await self._start(self.server)
                except ServerError as error:
                    self._failure = str(error)
                    _log.warning("server restart failed", server=self._label, attempt=attempt + 1, error=str(error))
                    await self._stop_quietly(self.server)
                else:
                    _log.info("server restarted", server=self._label)
                    return
            self._last_death = time.monotonic()
            _log.error("server given up", server=self._label, error=self._failure)
        finally:
            self._restarting = None

    def _pause(self, failures: int) -> float:
        if failures == 0:
            return 0.0
        return min(self._settings.restart_backoff * 2.0 ** min(failures - 1, 16), self._settings.restart_backoff_max)

    async def _start(self, server: ContainerServer) -> None:
        await server.start(self._startup_timeout, None if self.files is None else await self.files())
        if self.prepare is not None:
            await self.prepare(server)
        self._failure = None
        self.up = True

    async def _stop_quietly(self, server: ContainerServer) -> None:
        try:
            await server.stop()
        except Exception as error:
            _log.warning("server did not stop cleanly", server=self._label, error=str(error))

    async def _pings(self, tries: int) -> bool:
        for _ in range(tries):
            with contextlib.suppress(ServerError):
                if await self.server.ping():
                    return True
        return False

    async def _watch(self) -> None:
        missed = 0
        while True:
            await asyncio.sleep(self._settings.watch_interval)
            if not self.up:
                missed = 0
                continue
            missed = 0 if await self._pings(1) else missed + 1
            if missed >= self._settings.failed_pings and self.up:
                missed = 0
                self._restart()
