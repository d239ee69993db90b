"""A connection to Triton for loads and unloads that holds up nobody else's.

Triton's SageMaker front-end ties each connection to one of its threads for good, to the first one whenever that has no
backlog, and a load or an unload blocks its thread for seconds: every invocation on the same thread's connections waits.
So right after the start we keep the first thread busy with a model whose configuration is a pipe, and connect until a
connection is answered all the same: that one is on another thread. The later ones, for invocations, are on the first,
but for some of a large burst.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import aiohttp

_PATIENCE = (0.02, 0.2, 0.5)
"""Seconds to wait for an answer: the first connection is still dealt to the busy thread, the second hardly ever."""
_PIPE_TIMEOUT = 2.0

SessionFactory = Callable[[], aiohttp.ClientSession]


async def separate_session(base: str, scratch: Path, new_session: SessionFactory) -> aiohttp.ClientSession | None:
    """A session whose only connection is not on the first thread, or None when that could not be had."""
    model = scratch / "pipe" / "model"
    model.mkdir(parents=True)
    pipe = model / "config.pbtxt"
    os.mkfifo(pipe)
    blocker = new_session()
    busy = asyncio.create_task(_load(blocker, base, model.parent))
    sessions: list[aiohttp.ClientSession] = []
    found = None
    try:
        writer = await _writer(pipe, busy)
        pipe.unlink()  # it is read twice, and the second time may fail
        try:
            for patience in _PATIENCE if writer is not None else ():
                sessions.append(new_session())
                if await _answers(sessions[-1], base, patience):
                    found = sessions.pop()
                    break
        finally:
            if writer is not None:
                os.close(writer)
        await busy
    finally:
        busy.cancel()
        for session in (blocker, *sessions):
            await session.close()
    return found


async def _load(session: aiohttp.ClientSession, base: str, directory: Path) -> None:
    request = {"model_name": "pipe", "url": str(directory)}
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with session.post(f"{base}/models", json=request, timeout=aiohttp.ClientTimeout(total=10)) as response:
            await response.read()


async def _writer(pipe: Path, reader: asyncio.Task[None]) -> int | None:
    """The pipe's other end once Triton has begun to read it; from then on Triton waits for content or our close."""
    deadline = asyncio.get_running_loop().time() + _PIPE_TIMEOUT
    while not reader.done() and asyncio.get_running_loop().time() < deadline:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # no reader yet
            await asyncio.sleep(0.002)
    return None


async def _answers(session: aiohttp.ClientSession, base: str, patience: float) -> bool:
    try:
        async with session.get(f"{base}/ping", timeout=aiohttp.ClientTimeout(total=patience)) as response:
            return response.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
