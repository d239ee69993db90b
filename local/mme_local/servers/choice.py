"""Which server stands in for a container's image.

A module of its own, since it imports all servers: the inference handlers start in every worker process of Multi Model
Server, where each import costs time and memory.
"""

from __future__ import annotations

from pathlib import Path

from mme_local.hosting.spec import ContainerSpec
from mme_local.servers.base import ContainerServer, UnsupportedImage
from mme_local.servers.mms import HANDLERS, MultiModelServer, missing_extra
from mme_local.servers.triton import REPOSITORY, TritonServer

STAND_INS = frozenset({REPOSITORY, *HANDLERS})
"""The repositories of images that servers here stand in for."""


def stands_in(repository: str) -> bool:
    """Whether a server here stands in for a repository's images, with what is installed."""
    return repository in STAND_INS and missing_extra(repository) is None


def server_for(container: ContainerSpec, work_dir: Path) -> ContainerServer:
    """The model server that stands in for the container's image.

    Args:
        container: The container, as ``CreateModel`` describes it.
        work_dir: A directory for this server alone; its log is ``server.log`` there.

    Raises:
        UnsupportedImage: Nothing here can serve models the way that image does.
    """
    if container.repository == REPOSITORY:
        return TritonServer(container, work_dir)
    if container.repository in HANDLERS:
        return MultiModelServer(container, work_dir)
    raise UnsupportedImage(
        f"image {container.image!r} cannot be served locally: images of {', '.join(sorted(STAND_INS))} "
        "can. Test this container's own code in it, or put the model behind one of those images for local runs"
    )
