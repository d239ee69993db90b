"""The real model servers, one module each.

The modules are imported when a server is made, not with the package: the inference handlers live in it too and start
in every worker process of Multi Model Server, where each import costs time and memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme_local.hosting.spec import ContainerSpec
    from mme_local.servers.base import ModelServer


def server_for(container: ContainerSpec, work_dir: Path) -> ModelServer:
    """The model server that stands in for the container's image.

    Args:
        container: The container, as ``CreateModel`` describes it.
        work_dir: A directory for this server alone; its log is ``server.log`` there.

    Raises:
        UnsupportedImage: Nothing here can serve models the way that image does.
    """
    from mme_local.servers.base import UnsupportedImage
    from mme_local.servers.mms import HANDLERS, MultiModelServer
    from mme_local.servers.triton import REPOSITORY, TritonServer

    repository = repository_of(container.image)
    if repository == REPOSITORY:
        return TritonServer(container, work_dir)
    if repository in HANDLERS:
        return MultiModelServer(container, work_dir)
    raise UnsupportedImage(
        f"image {container.image!r} cannot be served locally: images of {', '.join(sorted([REPOSITORY, *HANDLERS]))} "
        "can. Test this container's own code in it, or put the model behind one of those images for local runs"
    )


def repository_of(image: str) -> str:
    """The repository's last path element: ``sagemaker-xgboost`` of ``…amazonaws.com/sagemaker-xgboost:3.2-0``."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
