"""What the processes of an instance take of the machine, in the units of SageMaker's instance metrics."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Mapping
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

    def measure(self, instances: Mapping[Path, int]) -> dict[Path, dict[str, float]]:
        """Return instances' metrics by name; CPU from their second measurement on. Blocks for milliseconds.

        ``CPUUtilization`` runs to 100 for each core, the others to 100.

        Args:
            instances: The instances' folders, and what is used of their disks.
        """
        running = processes_of(instances)
        return {folder: self._measured(folder, used, running[folder]) for folder, used in instances.items()}

    def _measured(self, directory: Path, disk_used: int, processes: Iterable[psutil.Process]) -> dict[str, float]:
        cpu_seconds: dict[psutil.Process, float] = {}
        memory = 0
        for process in processes:
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


def processes_of(directories: Iterable[Path]) -> dict[Path, list[psutil.Process]]:
    """Our children that have a file below each directory open, with their descendants, and its containers'."""
    found: dict[Path, list[psutil.Process]] = {directory: [] for directory in directories}
    resolved = {directory.resolve(): processes for directory, processes in found.items()}
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            folders = {folder for file in child.open_files() for folder in Path(file.path).parents}
            for directory in folders & resolved.keys():
                resolved[directory] += [child, *child.children(recursive=True)]
    _add_containers(resolved)
    return found


def _add_containers(found: Mapping[Path, list[psutil.Process]]) -> None:
    identities = {
        identity: processes
        for directory, processes in found.items()
        for file in directory.glob(f"*/*/{IDENTITY}")
        if (identity := file.read_text())
    }
    for pid in psutil.pids() if identities else ():
        with contextlib.suppress(OSError, psutil.Error):
            groups = Path(f"/proc/{pid}/cgroup").read_text()
            for identity, processes in identities.items():
                if identity in groups:
                    processes.append(psutil.Process(pid))
