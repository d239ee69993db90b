"""The servers' output in CloudWatch Logs, where SageMaker puts it: read from their files and delivered in batches.

https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from mme_local.hosting import loopback
from mme_local.hosting.spec import log_group

_log = structlog.get_logger("mme_local.platform")

# What one look at a file delivers, so that a chatty server keeps nobody else waiting; well below PutLogEvents' limits
# of 10,000 events and, with 26 bytes for each, 1 MB a call.
_MOST_BYTES = 256 * 1024
_MOST_EVENTS = 5_000
_LAST_DELIVERY = 10.0


class Tail:
    """The lines that a file has got since the last look; it may be truncated or replaced meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._begun = b""

    def lines(self, *, last: bool = False) -> list[str]:
        """Return new lines, and with ``last`` also one that has no end."""
        read = self._begun + b"".join(self._read())
        whole, newline, self._begun = read.rpartition(b"\n")
        if last or len(self._begun) >= _MOST_BYTES:
            whole, self._begun = whole + newline + self._begun, b""
        text = whole.decode(errors="replace")
        return [line for line in (line.rstrip() for line in text.split("\n")) if line]

    def close(self) -> None:
        """Read no more."""
        if self._file is not None:
            self._file.close()

    def _read(self) -> Iterator[bytes]:
        if self._file is None:
            try:
                self._file = self._path.open("rb", buffering=0)
            except OSError:  # its server has not started yet
                return
        size = os.fstat(self._file.fileno()).st_size
        if size < self._file.tell():
            self._file.seek(0)
            yield b"\n"
        waiting = size - self._file.tell()
        if waiting > _MOST_BYTES:
            yield b"\n[mme-local left out %d bytes of output]\n" % (waiting - _MOST_BYTES)
            self._file.seek(size - _MOST_BYTES)
        yield self._file.read(_MOST_BYTES)
        with contextlib.suppress(OSError):
            if not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                self._file.close()
                self._file = None


@dataclass(eq=False)
class LogStream:
    """The output of one container on one instance, whichever servers there are for it in turn.

    Attributes:
        group: The log group's name.
        name: The stream's, ``<variant>/<instance id>`` and for one of several containers ``/<container>``.
        region: Whose CloudWatch Logs gets it.
        role: The execution role, which must be allowed to write it where policies are enforced.
    """

    group: str
    name: str
    region: str
    role: str | None
    _tails: deque[Tail] = field(default_factory=deque)
    refused: bool = False

    def follow(self, path: Path) -> None:
        """Go on with the output of another server, when the last one's has been read."""
        self._tails.append(Tail(path))

    def lines(self, *, last: bool = False) -> Iterator[list[str]]:
        """Yield the lines of each server since the last look."""
        while len(self._tails) > 1:
            yield self._tails[0].lines(last=True)
            self._tails.popleft().close()
        if self._tails:
            yield self._tails[0].lines(last=last)

    def close(self) -> None:
        """Read no more."""
        for tail in self._tails:
            tail.close()
        self._tails.clear()


class LogDelivery:
    """Follows the output of all servers and delivers it. Nothing of this happens while a call waits.

    Args:
        endpoint_url: Where CloudWatch Logs is: the address that mme-local itself answers on.
        interval: Seconds between two deliveries.
        role_credentials: Makes access key, secret and token of an execution role's session.
    """

    def __init__(
        self, endpoint_url: str, *, interval: float, role_credentials: Callable[[str], tuple[str, str, str]] | None
    ) -> None:
        self._endpoint_url = endpoint_url
        self._interval = interval
        self._role_credentials = role_credentials
        self._executor = ThreadPoolExecutor(1, "mme-logs")
        self._streams: list[LogStream] = []
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def stream(self, endpoint_name: str, name: str, *, region: str, role: str | None) -> LogStream:
        """Return a new stream, which is delivered from now on."""
        stream = LogStream(log_group(endpoint_name), name, region, role if self._role_credentials else None)
        self._streams.append(stream)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return stream

    async def end(self, streams: Sequence[LogStream]) -> None:
        """Deliver the last words of servers that have ended; their files may go afterwards."""
        for stream in streams:
            self._streams.remove(stream)
        if streams:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deliver(streams, last=True), _LAST_DELIVERY)
        for stream in streams:
            stream.close()

    async def close(self) -> None:
        """Deliver no more: all that was delivered is forgotten with this process."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._deliver(list(self._streams))

    async def _deliver(self, streams: Sequence[LogStream], *, last: bool = False) -> None:
        if self._closed:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._deliver_all, streams, last)
        except Exception:
            _log.exception("output not delivered")

    def _deliver_all(self, streams: Sequence[LogStream], last: bool) -> None:
        for stream in streams:
            for lines in stream.lines(last=last):
                for start in range(0, len(lines), _MOST_EVENTS):
                    self._put(stream, lines[start : start + _MOST_EVENTS])

    def _put(self, stream: LogStream, lines: Sequence[str]) -> None:
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines]
        names = {"logGroupName": stream.group, "logStreamName": stream.name}
        try:
            client = self._client(stream.region, stream.role)
            try:
                client.put_log_events(**names, logEvents=events)
            except client.exceptions.ResourceNotFoundException:
                with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                    client.create_log_group(logGroupName=stream.group)
                with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                    client.create_log_stream(**names)
                client.put_log_events(**names, logEvents=events)
        except (BotoCoreError, ClientError) as error:
            # CloudWatch is this same process and may be closing
            if not self._closed and not stream.refused:
                _log.warning("output not delivered", group=stream.group, stream=stream.name, error=str(error))
            stream.refused = True

    def _client(self, region: str, role: str | None) -> Any:
        if (region, role) not in self._clients:
            credentials = None if role is None or self._role_credentials is None else self._role_credentials(role)
            self._clients[region, role] = loopback.client(
                "logs", self._endpoint_url, region, credentials=credentials, read_timeout=5
            )
        return self._clients[region, role]
