"""Which server stands in for a container's image.

A module of its own, since it imports all servers: the inference handlers start in every worker process of Multi Model
Server, where each import costs time and memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import ContainerServer, ServerError, UnsupportedImage
from mme_local.servers.docker.client import Docker
from mme_local.servers.docker.server import DockerServer
from mme_local.servers.mms import HANDLERS, MultiModelServer
from mme_local.servers.triton import REPOSITORY, TritonServer

STAND_INS = frozenset({REPOSITORY, *HANDLERS})
"""The repositories of images that servers here stand in for."""


def server_for(container: ContainerSpec, work_dir: Path) -> ContainerServer:
    """The model server that stands in for the container's image.

    Args:
        container: The container, as ``CreateModel`` describes it.
        work_dir: A directory for this server alone; its log is ``server.log`` there.

    Raises:
        UnsupportedImage: Nothing here can serve models the way that image does.
    """
    if not container.multi_model and container.model_data_url is None:
        raise UnsupportedImage("it has no ModelDataUrl, and only models run here, not what is inside an image")
    if container.repository == REPOSITORY:
        return TritonServer(container, work_dir)
    if container.repository in HANDLERS:
        return MultiModelServer(container, work_dir)
    raise UnsupportedImage(
        f"image {container.image!r} cannot be served locally: images of {', '.join(sorted(STAND_INS))} "
        "can. Test this container's own code in it, or put the model behind one of those images for local runs"
    )


@dataclass(frozen=True)
class Servers:
    """Makes the server of a container: a stand-in for its image, or the image itself in Docker.

    Attributes:
        docker: Runs images; None where nothing may.
        always: Whether also those that there is a stand-in for.
    """

    docker: Docker | None
    always: bool = False

    def make(self, container: ContainerSpec, work_dir: Path) -> ContainerServer:
        """Make a server that is not started yet.

        Raises:
            UnsupportedImage: Neither is possible.
        """
        if self.docker is not None and self.always:
            return DockerServer(container, work_dir, self.docker)
        try:
            return server_for(container, work_dir)
        except UnsupportedImage as error:
            if self.docker is None:
                raise
            if (problem := self.docker.problem()) is not None:
                raise UnsupportedImage(f"{error}; where Docker answers, it runs as it is, but {problem}") from error
            return DockerServer(container, work_dir, self.docker)

    def labels(self, image: str) -> Mapping[str, str] | None:
        """The labels of an image that would run in Docker; None when it would not, or is not on this machine."""
        if self.docker is None or not (self.always or ContainerSpec(image, True).repository not in STAND_INS):
            return None
        try:
            found = self.docker.image(image)
        except ServerError:
            return None
        return None if found is None else found.labels
