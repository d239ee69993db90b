"""The one interface behind which every model server runs: SageMaker's container contract, in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

INVOKE_SECONDS = 60.0
"""What SageMaker gives a container to answer."""


class ServerError(Exception):
    """A model server could not be started, or did not answer."""


class ServerBroken(ServerError):
    """A model server runs, but does not go on as it should: only a new one in its place will.

    Args:
        message: What it did.
        answer: What its caller gets all the same; without one the call, which is not to blame, is worth sending again.
    """

    def __init__(self, message: str, answer: ServerResponse | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class ModelDied(ServerError):
    """A model's process died of a call, and the server may not start another: it has to be loaded again.

    Args:
        answer: What the server answered.
    """

    def __init__(self, answer: ServerResponse) -> None:
        super().__init__(answer.body.decode(errors="replace"))
        self.answer = answer


class UnsupportedImage(ServerError):
    """No model server on this machine can stand in for the container's image; the message says which can."""


class LoadError(ServerError):
    """A model server refused to load a model.

    Args:
        status: The HTTP status that the server answered.
        body: The server's answer, for ``ModelError``'s ``OriginalMessage``.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the model server answered {status}: {body[:500].decode(errors='replace')}")
        self.status = status
        self.body = body


class OutOfMemory(LoadError):
    """The server answered 507: there is no room for the model until another one is unloaded."""


@dataclass(frozen=True)
class ServerResponse:
    """A container's answer to an invocation, bytes unchanged."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ContainerServer(Protocol):
    """One server process: what the platform sees of a container on one instance.

    ``name`` is the platform's own opaque name for a loaded model (a hash, as on SageMaker); ``target_model`` is what
    the caller sent, which the platform passes on in ``X-Amzn-SageMaker-Target-Model``.
    """

    async def start(self, timeout: float, files: Path | None = None) -> None:  # noqa: ASYNC109 - until the first ping
        """Start the process and return at its first successful ping; ``ServerError`` says why it did not come up.

        ``files`` is where the models will be, or the model of a single-model container: a container sees no other
        folder of this machine.
        """

    async def stop(self) -> None:
        """End the process and everything that it started, and remove what it left on disk and in shared memory."""

    async def ping(self) -> bool:
        """Whether the server is up and answers."""

    async def load(self, name: str, target_model: str, directory: Path) -> None:
        """Load the unpacked model in ``directory``; ``OutOfMemory`` for a 507, ``LoadError`` for any other refusal.

        After an error the model is not registered: a retry starts afresh.
        """

    async def unload(self, name: str) -> None:
        """Unload a model; one that is not loaded is no error."""

    async def abandon(self, name: str) -> None:
        """Unload a model that does not answer, with what runs it; ``ServerBroken`` when that takes a new server."""

    async def invoke(
        self, name: str, target_model: str, body: bytes, headers: Mapping[str, str], seconds: float = INVOKE_SECONDS
    ) -> ServerResponse:
        """Send one request to a loaded model and return its answer, whatever its status.

        ``TimeoutError`` when there is none within ``seconds``.
        ``ServerError`` when the server did not answer at all, ``ServerBroken`` when it will answer no more, or wrong,
        ``ModelDied`` when it is the model that won't.
        """
