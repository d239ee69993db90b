"""How far packing is, and several models at a time."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from .errors import InvalidModelError

if TYPE_CHECKING:
    from rich.progress import Progress

Step = Callable[[int, int], None]
"""Called for each piece of a model that is read, with its bytes and those of the whole; what it raises ends it."""

_PATIENCE = 1.0
_AT_A_TIME = min(4, os.cpu_count() or 1)
_T = TypeVar("_T")


def no_step(_: int, __: int) -> None:
    """Tell nobody, and never end early."""


def each(what: str, models: Mapping[str, Path], work: Callable[[Path, Step], _T]) -> dict[str, _T | InvalidModelError]:
    """Work on several models at a time, and say how far that is.

    Args:
        what: What is done, for the terminal.
        models: The models by name.
        work: What to do with one.

    Returns:
        What came of each by name, in their order.
    """

    def attempt(path: Path) -> _T | InvalidModelError:
        try:
            return work(path, bar.model())
        except InvalidModelError as error:
            return error

    with ThreadPoolExecutor(_AT_A_TIME) as pool, _Bar(what) as bar:
        return dict(zip(models, pool.map(attempt, models.values()), strict=True))


class _Stopped(Exception):
    """Work that nobody waits for any more."""


class _Bar:
    """A bar on the terminal, if standard error is one, for what takes more than a second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._stopped = False
        self._done = 0
        self._total = 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._stopped = kind is not None
        with self._lock:
            if self._bar is not None:
                self._bar.stop()

    def model(self) -> Step:
        """What to tell of one more model."""
        known = 0

        def step(done: int, total: int) -> None:
            nonlocal known
            if self._stopped:
                raise _Stopped
            with self._lock:
                # an archive is read twice: packed, and unpacked
                self._total += total if total != known else 0
                known = total
                self._done += done
                self._show()

        return step

    def _show(self) -> None:
        if self._bar is None:
            if time.monotonic() - self._started < _PATIENCE or not sys.stderr.isatty():
                return
            self._bar = _new_bar()
            self._bar.add_task(self._what)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._done, total=self._total)


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
