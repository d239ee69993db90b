"""What the processes of an instance take of the machine, in the units of SageMaker's instance metrics."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from mme_local.servers.docker.leftovers import IDENTITY


class Utilization:
    """Measures instances by their processes.

    An instance's servers are those children of this process that write their log to the instance's own folder, with
    everything that they started in turn, and what runs in its containers, where Docker runs on this very machine.

    Args:
        disk_budget: What counts as an instance's whole disk; the real disk when left out.
    """

    def __init__(self, disk_budget: int | None) -> None:
        self._disk_budget = disk_budget
        self._cpu_before: dict[Path, tuple[float, dict[psutil.Process, float]]] = {}

    def measure(self, directory: Path, disk_used: int) -> dict[str, float]:
        """Return an instance's metrics by name; CPU from its second measurement on. Blocks for milliseconds.

        ``CPUUtilization`` runs to 100 for each core, the others to 100.
        """
        cpu_seconds: dict[psutil.Process, float] = {}
        memory = 0
        for process in processes_of(directory):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                cpu_seconds[process] = times.user + times.system
                memory += process.memory_info().rss
        now = time.monotonic()
        measured = {
            "MemoryUtilization": 100 * memory / psutil.virtual_memory().total,
            "DiskUtilization": 100 * disk_used / self._disk_size(directory),
        }
        before = self._cpu_before.get(directory)
        if before is not None and now > before[0]:
            # by process: the time of one that ended would otherwise be missing from the sum
            spent = sum(seconds - before[1].get(process, 0.0) for process, seconds in cpu_seconds.items())
            measured["CPUUtilization"] = 100 * spent / (now - before[0])
        self._cpu_before[directory] = (now, cpu_seconds)
        return measured

    def forget(self, directory: Path) -> None:
        """Drop what is kept of a fleet that is gone."""
        for known in [known for known in self._cpu_before if directory in known.parents]:
            del self._cpu_before[known]

    def _disk_size(self, directory: Path) -> int:
        if self._disk_budget is not None:
            return self._disk_budget
        return shutil.disk_usage(directory).total


def processes_of(directory: Path) -> Iterator[psutil.Process]:
    """Yield our children that have a file below ``directory`` open, their descendants and containers."""
    directory = directory.resolve()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(directory in Path(file.path).parents for file in child.open_files()):
                yield child
                yield from child.children(recursive=True)
    yield from _in_containers(directory)


def _in_containers(directory: Path) -> Iterator[psutil.Process]:
    identities = [file.read_text() for file in directory.glob(f"*/*/{IDENTITY}")]
    for pid in psutil.pids() if identities else ():
        with contextlib.suppress(OSError, psutil.Error):
            groups = Path(f"/proc/{pid}/cgroup").read_text()
            if any(identity and identity in groups for identity in identities):
                yield psutil.Process(pid)
