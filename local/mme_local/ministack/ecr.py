"""MiniStack's ECR, made to know the images that Docker has: nothing is pushed, and the CDK builds what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mme_local.aws.scope import Scope
from mme_local.hosting.images import HasImage


def know_built_images(has_image: HasImage, scope: Callable[[], Scope]) -> None:
    """Let DescribeImages find an image by the tag that Docker has it under, and refuse one that nobody has.

    MiniStack leaves it out of its answer, which the CDK takes for an image that is there.

    Args:
        has_image: Whether Docker has an image; where it answers None, MiniStack's own answer stays.
        scope: The account and region of the present request.
    """
    from ministack import app
    from ministack.core.responses import error_response_json, json_response

    ministacks = getattr(app.SERVICE_HANDLERS["ecr"], "ministacks", app.SERVICE_HANDLERS["ecr"])

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]) -> Any:
        answer = await ministacks(method, path, headers, body, query)
        if not headers.get("x-amz-target", "").endswith(".DescribeImages") or answer[0] != 200:
            return answer
        request, details = json.loads(body), json.loads(answer[2])["imageDetails"]
        account, region, repository = scope().account, scope().region, request["repositoryName"]
        known = {tag for image in details for tag in image["imageTags"]}
        asked = [image["imageTag"] for image in request.get("imageIds") or [] if "imageTag" in image]
        for tag in [tag for tag in asked if tag not in known]:
            image = f"{account}.dkr.ecr.{region}.amazonaws.com/{repository}:{tag}"
            found = await has_image(image)
            if found is None:
                return answer
            if not found:
                missing = (
                    f"The image with imageId {{imageDigest:'null', imageTag:'{tag}'}} does not exist within the"
                    f" repository with name '{repository}' in the registry with id '{account}'"
                )
                return error_response_json("ImageNotFoundException", missing)
            details.append({"registryId": account, "repositoryName": repository, "imageTags": [tag]})
        return json_response({"imageDetails": details})

    handle.ministacks = ministacks  # type: ignore[attr-defined]
    app.SERVICE_HANDLERS["ecr"] = handle
