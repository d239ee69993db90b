"""The disk of one instance: model files and what they take."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import Executor, Future
from pathlib import Path

from mme_local.platform.artifacts import (
    ArtifactError,
    ArtifactMissing,
    ArtifactRejected,
    ArtifactStore,
    DiskFull,
    of_disk,
    remove_tree,
)
from mme_local.platform.errors import InternalDependencyException, InvalidRequest
from mme_local.platform.model import InstanceModel


class NoRoomOnDisk(InternalDependencyException):
    """The machine's disk is full, whatever the budget says."""


class Forsaken(Exception):
    """Nobody waits any more for a model whose turn has come."""


class Disk:
    """Where an instance keeps its models.

    Args:
        store: Brings artifacts from S3.
        directory: The folder of this instance.
        executor: Threads for downloads and deletions.
        budget: Bytes that all files together should stay below; no limit when left out.
    """

    def __init__(self, store: ArtifactStore, directory: Path, executor: Executor, *, budget: int | None) -> None:
        self._store = store
        self._directory = directory
        self._executor = executor
        self._budget = budget
        self._number = itertools.count()
        self.used = 0
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def directory(self) -> Path:
        """The folder with all of them."""
        return self._directory

    @property
    def budget(self) -> int | None:
        """Bytes that all files together should stay below."""
        return self._budget

    @property
    def over_budget(self) -> bool:
        """Whether something has to go."""
        return self._budget is not None and self.used > self._budget

    async def fetch(self, model: InstanceModel) -> tuple[Path, int]:
        """Download and unpack a model; return its directory and size.

        Raises:
            Forsaken: Nobody waited for it any more when its turn came.
            NoRoomOnDisk: The machine's disk is full.
            InvokeError: The object is absent, not a model archive, or S3 does not answer.
        """
        # Never the same path twice: a download that was given up may still be ending in its thread.
        directory = self._directory / f"{model.name}-{next(self._number)}" / "model"
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            size = await loop.run_in_executor(self._executor, self._fetch, model, directory, stop)
        except ArtifactMissing as error:
            raise InvalidRequest(str(error)) from error
        except ArtifactRejected as error:
            raise InvalidRequest(
                f"Failed to extract model data archive from URL {model.url}: {error}. Please ensure that the object "
                "located at the URL is a valid tar.gz archive"
            ) from error
        except DiskFull as error:
            raise NoRoomOnDisk(str(error)) from error
        except ArtifactError as error:
            raise InternalDependencyException(str(error)) from error
        finally:
            stop.set()
        if self._budget is not None and size > self._budget:
            self._remove(directory)
            raise InvalidRequest(
                f"the model at {model.url} takes {size} bytes on disk, more than the budget {self._budget}"
            )
        self.used += size
        return directory, size

    def _fetch(self, model: InstanceModel, directory: Path, stop: threading.Event) -> int:
        if model.forsaken:
            raise Forsaken
        try:
            directory.parent.mkdir()
            return self._store.fetch(model.url, directory, stop)
        except BaseException as error:
            remove_tree(directory.parent)
            if isinstance(error, OSError):
                raise of_disk(error) from error
            raise

    def delete(self, directory: Path, size: int) -> Future[None]:
        """Delete a model's files; the room counts as free at once, and is free when the result is there."""
        self.used -= size
        return self._remove(directory)

    def _remove(self, directory: Path) -> Future[None]:
        return self._executor.submit(remove_tree, directory.parent)
