"""Each image that has a model server here is one that the tests of model servers start."""

from __future__ import annotations

from typing import Any

from mme_local.servers import mms, triton


def test_each_image_is_tested(kit: Any) -> None:
    tested = {image.rpartition("/")[2].partition(":")[0] for image in kit.images.values()}
    assert tested == {triton.REPOSITORY, *mms.HANDLERS}
