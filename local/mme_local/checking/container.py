"""A container that is checked."""

from __future__ import annotations

import asyncio
import time

from mme_local.servers.docker.leftovers import IDENTITY
from mme_local.servers.docker.server import DockerServer

_POLL_SECONDS = 0.05


class CheckedContainer(DockerServer):
    """Runs an image whatever there is to be said against it."""

    async def _check_image(self) -> None:
        """Nothing: that is reported apart."""

    @property
    def base(self) -> str:
        """Its URL."""
        return self._base

    async def terminate(self) -> None:
        """Send SIGTERM to its program."""
        identity = (self.work_dir / IDENTITY).read_text()
        await asyncio.to_thread(self._docker.run, "kill", "--signal", "TERM", identity)

    async def ended(self, seconds: float) -> int | None:
        """Wait so long for its end; return its status, None when it still runs."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while True:
            status = self._process.exit_status()
            if status is not None or time.monotonic() >= deadline:
                return status
            await asyncio.sleep(_POLL_SECONDS)
