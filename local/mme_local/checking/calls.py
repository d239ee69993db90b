"""The calls that SageMaker makes to a container."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from mme_local.hosting.headers import CUSTOM_ATTRIBUTES, TARGET_MODEL_SENT

PING_SECONDS = 2.0
LOAD_SECONDS = 360.0
ANSWER_SECONDS = 60.0


class NoAnswer(Exception):
    """The container did not answer."""


@dataclass(frozen=True)
class Model:
    """A model as SageMaker names it to the container: by an opaque name, a path, and what a caller calls it."""

    name: str
    target_model: str

    @property
    def url(self) -> str:
        """Where its files are."""
        return f"/opt/ml/models/{self.name}/model"


@dataclass(frozen=True)
class Payload:
    """What models are called with."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Answer:
    """A container's answer."""

    status: int
    body: bytes

    def __str__(self) -> str:
        text = " ".join(self.body[:300].decode(errors="replace").split())
        return f"{self.status}: {text}" if text else str(self.status)

    def json(self) -> Any:
        """What it says; None when that is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Calls:
    """Makes them.

    Args:
        session: Its base URL is the container's.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ping(self) -> Answer:
        """Ask for its health."""
        return await self._call("GET", "/ping", seconds=PING_SECONDS)

    async def load(self, model: Model) -> Answer:
        """Load a model."""
        body = json.dumps({"model_name": model.name, "url": model.url}).encode()
        return await self._call(
            "POST", "/models", {TARGET_MODEL_SENT: model.target_model, "Content-Type": "application/json"}, body
        )

    async def list(self, token: str | None = None) -> Answer:
        """List models, from a page on."""
        return await self._call("GET", "/models", parameters={} if token is None else {"next_page_token": token})

    async def describe(self, model: Model) -> Answer:
        """Describe a model."""
        return await self._call("GET", f"/models/{model.name}")

    async def unload(self, model: Model) -> Answer:
        """Unload a model."""
        return await self._call("DELETE", f"/models/{model.name}", {TARGET_MODEL_SENT: model.target_model})

    async def invoke(self, model: Model, payload: Payload) -> Answer:
        """Call a model."""
        headers = {
            "Accept": "*/*",
            "Content-Type": payload.content_type,
            TARGET_MODEL_SENT: model.target_model,
            CUSTOM_ATTRIBUTES: "mme-check-image",
        }
        path = f"/models/{model.name}/invoke"
        return await self._call("POST", path, headers, payload.body, seconds=ANSWER_SECONDS)

    async def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        seconds: float = LOAD_SECONDS,
    ) -> Answer:
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(method, path, headers=headers, data=body, params=parameters) as response,
            ):
                return Answer(response.status, await response.read())
        except TimeoutError:
            raise NoAnswer(f"did not answer {method} {path} within {seconds:g} seconds") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"did not answer {method} {path}: {error or type(error).__name__}") from error


def session(base: str) -> aiohttp.ClientSession:
    """A session for the container at a URL, with a connection for each call."""
    return aiohttp.ClientSession(
        base,
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=("User-Agent",),
    )
