"""Shared by the tests of the local endpoint's parts, in this process."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Generator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one that aiohttp and uvicorn run on."""
    return "asyncio"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Cancel a test that pytest-timeout has ended: anyio would leave it running, and the teardown would wait for it."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return (yield)
    ended = asyncio.Timeout(None)
    running: list[asyncio.AbstractEventLoop] = []

    @functools.wraps(test)
    async def cancellable(**arguments: Any) -> None:
        running.append(asyncio.get_running_loop())
        try:
            async with ended:
                await test(**arguments)
        except TimeoutError:
            if not ended.expired():
                raise
        finally:
            running.clear()

    pyfuncitem.obj = cancellable
    try:
        return (yield)
    except pytest.fail.Exception:
        for loop in running:  # none when it is the test itself that has failed
            loop.call_soon(ended.reschedule, 0)
        raise


@pytest.fixture(autouse=True)
def credentials_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``mme serve`` sets them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "1")
