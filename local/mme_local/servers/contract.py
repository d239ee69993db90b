"""What the two model servers have in common: SageMaker's container contract over HTTP (FACTS A.6)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from multidict import CIMultiDict

from mme_local.hosting.headers import CUSTOM_ATTRIBUTES, TARGET_MODEL_SENT
from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import INVOKE_SECONDS, LoadError, OutOfMemory, ServerError, ServerResponse
from mme_local.servers.connections import Connections
from mme_local.servers.process import PORT, Launch, ServerProcess, log_excerpt, shorten

_REQUEST_HEADERS = frozenset({"content-type", "accept", CUSTOM_ATTRIBUTES})
_RESPONSE_HEADERS = frozenset({b"content-type", CUSTOM_ATTRIBUTES.encode()})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")

_PING = aiohttp.ClientTimeout(total=2)
_LOAD = aiohttp.ClientTimeout(total=360)
_PING_INTERVAL = 0.05
_LEFTOVER_SECONDS = 5.0


class HttpModelServer(ABC):
    """A model server behind HTTP on one instance; subclasses say how to run theirs.

    Args:
        container: The container that the server stands for.
        work_dir: Where the server may keep files; its log is ``server.log`` there.
    """

    title: str
    _sends_target_model = True

    def __init__(self, container: ContainerSpec, work_dir: Path) -> None:
        self.container = container
        self.work_dir = work_dir
        self.log = work_dir / "server.log"
        self._process: ServerProcess | None = None
        self._session: aiohttp.ClientSession | None = None
        self._control: aiohttp.ClientSession | None = None
        self._connections: Connections | None = None
        self._loaded: dict[str, str] = {}
        self._base = ""

    @abstractmethod
    def _prepare(self) -> Launch:
        """Write what the server needs and say how to run it; called again for each attempt."""

    def _url_of(self, name: str, directory: Path) -> Path:
        """The path to name in the load request."""
        return directory

    def _path(self, name: str) -> str:
        """Where a loaded model is invoked."""
        return f"/models/{model_key(name)}/invoke"

    def _forget(self, name: str) -> None:  # noqa: B027 - only Triton makes something
        """Remove what ``_url_of`` made."""

    async def start(self, timeout: float, files: Path | None = None) -> None:  # noqa: ASYNC109 - until the first ping
        """See ``ContainerServer``."""
        deadline = time.monotonic() + timeout
        self.work_dir.mkdir(parents=True, exist_ok=True)
        try:
            await self._start_once(deadline)
        except BaseException:
            await self.stop()
            raise

    async def _start_once(self, deadline: float) -> None:
        launch = await asyncio.to_thread(self._prepare)
        self._process = await asyncio.to_thread(ServerProcess, launch, self.log)
        address = launch.address or ("127.0.0.1", PORT)
        self._base = "http://{}:{}".format(*address)
        self._session = self._new_session(launch)
        self._connections = Connections(
            address if launch.socket is None else str(launch.socket), self._process.open_socket
        )
        while not await self._is_up():
            status = self._process.exit_status()
            if status is not None:
                raise ServerError(f"{self.title} ended at start with status {status}:\n{self.log_excerpt()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.title} did not answer pings in time:\n{self.log_excerpt()}")
            await asyncio.sleep(_PING_INTERVAL)
        self._control = await self._control_session(launch)

    async def _is_up(self) -> bool:
        """Whether a server that is being started answers."""
        return await self.ping()

    async def _control_session(self, launch: Launch) -> aiohttp.ClientSession:
        """The session for loads and unloads."""
        return self._new_session(launch)

    def _new_session(self, launch: Launch, limit: int = 0) -> aiohttp.ClientSession:
        assert self._process is not None
        connector = (
            aiohttp.TCPConnector(limit=limit, keepalive_timeout=86400, socket_factory=self._process.open_socket)
            if launch.socket is None
            else aiohttp.UnixConnector(str(launch.socket), limit=limit, keepalive_timeout=86400)
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def stop(self) -> None:
        """See ``ContainerServer``."""
        sessions, self._session, self._control = (self._session, self._control), None, None
        for session in sessions:
            if session is not None:
                await session.close()
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.close()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(process.end)
        for name in list(self._loaded):
            self._forget(name)
        self._loaded.clear()

    def log_excerpt(self) -> str:
        """How the server's log begins and ends: why a load failed is often only there."""
        return log_excerpt(self.log)

    async def ping(self) -> bool:
        """See ``ContainerServer``; the regular occasion to keep the log short, too."""
        shorten(self.log)
        if self._session is None or self._process is None or self._process.exit_status() is not None:
            return False
        try:
            async with self._session.get(f"{self._base}/ping", timeout=_PING) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def load(self, name: str, target_model: str, directory: Path) -> None:
        """See ``ContainerServer``; status 409 means that the model is loaded already, and stays so."""
        url = await asyncio.to_thread(self._url_of, name, directory)
        request = {"model_name": model_key(name), "url": str(url)}
        status, body = await self._request("POST", "/models", target_model, request)
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        while status == 409 and name not in self._loaded and time.monotonic() < deadline:
            # Of a load that failed before: while its worker is ending, the DELETE below may not have been heard.
            await self._discard(name, target_model)
            await asyncio.sleep(_LEFTOVER_SECONDS / 50)
            status, body = await self._request("POST", "/models", target_model, request)
        if status == 200:
            self._loaded[name] = target_model
            return
        if status != 409:
            # Multi Model Server keeps a model that failed to load registered, and refuses the next attempt.
            await self._discard(name, target_model)
            await asyncio.to_thread(self._forget, name)
        raise (OutOfMemory if status == 507 else LoadError)(status, body)

    async def _discard(self, name: str, target_model: str) -> None:
        with contextlib.suppress(ServerError):
            await self._request("DELETE", f"/models/{model_key(name)}", target_model)

    async def unload(self, name: str) -> None:
        """See ``ContainerServer``."""
        target_model = self._loaded.pop(name, name)
        status, body = await self._request("DELETE", f"/models/{model_key(name)}", target_model)
        await asyncio.to_thread(self._forget, name)
        if status not in (200, 404):
            raise ServerError(f"{self.title} answered {status} to an unload: {body[:500].decode(errors='replace')}")

    async def abandon(self, name: str) -> None:
        """See ``ContainerServer``; calls of the model that wait for an answer get a ``ServerError``."""
        if self._connections is not None:
            self._connections.close(self._path(name))
        await self.unload(name)

    async def invoke(
        self, name: str, target_model: str, body: bytes, headers: Mapping[str, str], seconds: float = INVOKE_SECONDS
    ) -> ServerResponse:
        """See ``ContainerServer``; response headers can be read in any case."""
        if self._connections is None:
            raise ServerError(f"{self.title} is not running")
        forwarded = {key: value for key, value in headers.items() if key.lower() in _REQUEST_HEADERS}
        if self._sends_target_model:
            forwarded[TARGET_MODEL_SENT] = target_model
        try:
            status, answered, answer = await self._connections.post(self._path(name), forwarded.items(), body, seconds)
        except TimeoutError:
            raise
        except OSError as error:
            raise ServerError(f"{self.title} did not answer: {_reason(error)}") from error
        known = CIMultiDict(
            (key.decode(), value.decode("latin-1")) for key, value in answered if key.lower() in _RESPONSE_HEADERS
        )
        return ServerResponse(status, known, answer)

    async def _request(
        self, method: str, path: str, target_model: str, json: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        if self._control is None:
            raise ServerError(f"{self.title} is not running")
        headers = {TARGET_MODEL_SENT: target_model, "Content-Type": "application/json"}
        try:
            async with self._control.request(
                method, self._base + path, json=json, headers=headers, timeout=_LOAD
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServerError(f"{self.title} did not answer: {_reason(error)}") from error


def model_key(name: str) -> str:
    """The name as the server knows it: neither of the two decodes ``%20`` and the like in a path as one expects."""
    return name if _PLAIN_NAME.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
