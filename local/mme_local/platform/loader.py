"""Loads and unloads models on whichever server is running, and says what went wrong in SageMaker's words."""

from __future__ import annotations

import structlog

from mme_local.platform.failures import Failures
from mme_local.platform.model import InstanceModel
from mme_local.platform.settings import Settings
from mme_local.platform.supervisor import Supervisor
from mme_local.servers.base import ContainerServer, LoadError, OutOfMemory, ServerBroken, ServerError

_log = structlog.get_logger("mme_local.platform")


class Loader:
    """Talks to one container's server about models.

    Args:
        supervisor: Has the server, and replaces it when it dies.
        failures: Words for what goes wrong.
        settings: Time limits.
    """

    def __init__(self, supervisor: Supervisor, failures: Failures, settings: Settings) -> None:
        self._supervisor = supervisor
        self._failures = failures
        self._settings = settings

    async def load(self, model: InstanceModel) -> None:
        """Load a model from its directory.

        Raises:
            OutOfMemory: There is no room; the model is not loaded.
            InvokeError: The server refused it, died of it or is not running.
        """
        try:
            if not await self._try(model) and not await self._try(model):
                raise ServerError("the model server died of the load")
        except OutOfMemory:
            raise
        except LoadError as error:
            raise self._failures.load_refused(error) from error
        except ServerError as error:
            raise self._failures.server_gone(error) from error

    async def unload(self, model: InstanceModel) -> None:
        """Unload a model; a server that does not answer holds none, or soon won't, since it is replaced."""
        try:
            await self._supervisor.server.unload(model.name)
        except ServerError as error:
            _log.warning("unload failed", target_model=model.target_model, error=str(error))

    async def abandon(self, model: InstanceModel) -> None:
        """Unload a model that does not answer, if need be with its server."""
        generation = self._supervisor.generation
        try:
            await self._supervisor.server.abandon(model.name)
        except ServerError as error:
            _log.warning("server is replaced", target_model=model.target_model, reason=str(error))
            self._supervisor.replace(generation)

    async def _try(self, model: InstanceModel) -> bool:
        """Ask the server once; False when it is worth asking again."""
        assert model.directory is not None
        server = await self._ready()
        generation = self._supervisor.generation
        try:
            await server.load(model.name, model.target_model, model.directory)
        except LoadError as error:
            if error.status != 409:
                raise
            # It still has the model, from an unload that failed: start afresh.
            await server.unload(model.name)
            return False
        except ServerBroken:
            self._supervisor.replace(generation)
            return False
        except ServerError:
            # The server may have died in the middle of it, perhaps of another model: its successor gets one try.
            if not await self._supervisor.died(generation):
                raise
            return False
        return generation == self._supervisor.generation

    async def _ready(self) -> ContainerServer:
        try:
            return await self._supervisor.ready(self._settings.load_timeout)
        except ServerError as error:
            raise self._failures.not_running(error) from error
