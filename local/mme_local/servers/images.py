"""Who serves an image: a model server that stands in for it, or the image itself in Docker.

Functions import the servers: nobody waits at a start for what the first endpoint needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import ContainerServer, ServerError, UnsupportedImage
from mme_local.servers.docker.client import Docker


@dataclass(frozen=True)
class Servers:
    """Makes the server of a container.

    Attributes:
        docker: Runs images; None where nothing may.
        always: Whether also those that there is a stand-in for.
    """

    docker: Docker | None
    always: bool = False

    def make(self, container: ContainerSpec, work_dir: Path) -> ContainerServer:
        """Make a server that is not started yet, and asks for Docker only then.

        Raises:
            UnsupportedImage: There is no stand-in, and nothing may run in Docker.
        """
        from mme_local.servers.docker.server import DockerServer

        if self.docker is not None and self.always:
            return DockerServer(container, work_dir, self.docker)
        try:
            return _stand_in(container, work_dir)
        except UnsupportedImage as error:
            if self.docker is None:
                raise
            return DockerServer(container, work_dir, self.docker, no_stand_in=str(error))

    async def labels(self, image: str) -> Mapping[str, str] | None:
        """The labels of an image that would run in Docker; None when it would not, or is not on this machine."""
        from mme_local.servers.choice import stands_in

        if self.docker is None or not (self.always or not stands_in(ContainerSpec(image, True).repository)):
            return None
        try:
            found = await self.docker.ask(self.docker.image, image)
        except ServerError:
            return None
        return None if found is None else found.labels

    async def has(self, image: str) -> bool | None:
        """Whether an image is on this machine; None where none runs in Docker, false where Docker does not answer."""
        if self.docker is None:
            return None
        try:
            return await self.docker.ask(self.docker.image, image) is not None
        except ServerError:
            return False  # so the CDK builds it, and fails by what Docker says


def _stand_in(container: ContainerSpec, work_dir: Path) -> ContainerServer:
    from mme_local.servers.choice import server_for

    if not container.multi_model and container.model_data_url is None:
        raise UnsupportedImage("it has no ModelDataUrl, and only models run here, not what is inside an image")
    return server_for(container, work_dir)
