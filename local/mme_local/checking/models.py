"""The models that a container is given to load."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from mme_local.checking.calls import Model
from mme_local.platform.artifacts import Cancelled, unpack
from mme_local.servers.docker.server import make_readable
from multi_model_endpoint.artifacts import packed
from multi_model_endpoint.artifacts.members import MAX_BYTES, MAX_MEMBERS


class Models:
    """As many models as it takes: each is one of the user's under another name.

    Args:
        folder: What the container sees as ``/opt/ml/models``.
        sources: Directories or ``.tar.gz`` files; without one a model is made up.
    """

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        self.folder = folder
        self.made_up = not sources
        self._sources = sources
        self._numbers = itertools.count()

    def prepare(self, stop: threading.Event) -> None:
        """Pack the models as ``mme push`` does and unpack them as SageMaker does.

        Args:
            stop: Ends the work early, with ``Cancelled``.

        Raises:
            InvalidModelError: There is no such model.
            ArtifactError: It can't be unpacked.
        """

        def check(*_: int) -> None:
            if stop.is_set():
                raise Cancelled("interrupted")

        for number, source in enumerate(self._sources):
            with packed(source, check) as artifact:
                target = self._made(number)
                unpack(artifact.path, target, max_members=MAX_MEMBERS, max_bytes=MAX_BYTES, stop=stop)
        if self.made_up:
            (self._made(0) / "model.txt").write_text("made up by mme check-image\n")
        make_readable(self.folder)

    def new(self) -> Model:
        """The next model, under a name that was not there before."""
        number = next(self._numbers)
        name = secrets.token_hex(16)
        (self.folder / name).symlink_to(str(number % max(len(self._sources), 1)))
        return Model(name, f"check-image/model-{number + 1}.tar.gz")

    def _made(self, number: int) -> Path:
        target = self.folder / str(number) / "model"
        target.mkdir(parents=True)
        return target
