"""Callers of an endpoint that hang up before they have their answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mme_local.hosting.plane import NoServers
from mme_local.ministack.credentials import Credentials
from mme_local.ministack.gateway import Gateway

from .conftest import invocation


class Slow(NoServers):
    """A hosting whose answers take as long as nobody cancels them."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def invoke(self, *arguments: Any) -> Any:
        self.called.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


@pytest.mark.parametrize("enforced", [False, True], ids=["policies are not evaluated", "policies are evaluated"])
async def test_a_call_ends_when_its_caller_hangs_up(enforced: bool) -> None:
    hosting, credentials = Slow(), Credentials.random()
    gateway: Any = Gateway(hosting, credentials, lambda: None)
    gateway.sagemaker.endpoints.invocable = lambda name: True
    gateway._iam = SimpleNamespace(refusal=lambda *_: None) if enforced else None
    scope = invocation(credentials, "slow")
    hung_up = asyncio.Event()
    messages = [{"type": "http.request", "body": b"x"}]
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    answering = asyncio.create_task(gateway(scope, receive, send))
    await asyncio.wait({answering, asyncio.create_task(hosting.called.wait())}, return_when="FIRST_COMPLETED")
    assert not answering.done(), sent
    hung_up.set()
    await asyncio.wait_for(answering, 60)
    assert hosting.cancelled.is_set()
    assert sent == []
