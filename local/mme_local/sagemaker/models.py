"""Models and endpoint configurations: written once, never changed, the tags apart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mme_local.aws.listing import answer
from mme_local.aws.tags import tag_map
from mme_local.hosting.images import Labels, label_problem
from mme_local.sagemaker import rules
from mme_local.sagemaker.errors import ValidationError
from mme_local.sagemaker.listing import page
from mme_local.sagemaker.permissions import Roles, check_execution_role
from mme_local.sagemaker.records import EndpointConfig, Model, Region


def create_model(region: Region, request: Mapping[str, Any], *, roles: Roles | None = None) -> dict[str, Any]:
    """CreateModel; with ``roles``, the execution role must be able to do its work."""
    name = request["ModelName"]
    region.models.check_free(name)
    rules.check_model(request)
    if roles is not None:
        check_execution_role(roles, request)
    record = Model(name, region.models.arn(name), dict(request), tags=tag_map(request.get("Tags", [])))
    region.models.add(record)
    return {"ModelArn": record.arn}


async def check_images(request: Mapping[str, Any], labels: Labels) -> None:
    """Refuse an image whose labels do not say that it can do what is asked of it."""
    containers = request.get("Containers") or [request.get("PrimaryContainer", {})]
    images = [container.get("Image", "") for container in containers]
    for container, image, found in zip(containers, images, await asyncio.gather(*map(labels, images)), strict=True):
        multi_model = container.get("Mode") == "MultiModel"
        problem = label_problem(image, found, multi_model=multi_model, pipeline=len(containers) > 1)
        if problem is not None:
            raise ValidationError(problem)


def describe_model(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """DescribeModel."""
    record = region.models.get(request["ModelName"])
    described = {
        "EnableNetworkIsolation": False,
        **_without_tags(record.request),
        "ModelArn": record.arn,
        "CreationTime": record.created,
    }
    containers = [{"Mode": "SingleModel", **container} for container in record.containers]
    if "Containers" in described:
        described["Containers"] = containers
    else:
        described["PrimaryContainer"] = containers[0]
    return described


def list_models(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """ListModels."""
    records, token = page(region.models, request)
    summaries = [{"ModelName": r.name, "ModelArn": r.arn, "CreationTime": r.created} for r in records]
    return answer("Models", summaries, token)


def delete_model(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """DeleteModel: also one that endpoints use, which go on with the copy of it that they were deployed with."""
    region.models.remove(request["ModelName"])
    return {}


def create_config(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """CreateEndpointConfig."""
    name = request["EndpointConfigName"]
    region.configs.check_free(name)
    rules.check_config(request, region.models.get)
    record = EndpointConfig(name, region.configs.arn(name), dict(request), tags=tag_map(request.get("Tags", [])))
    region.configs.add(record)
    return {"EndpointConfigArn": record.arn}


def describe_config(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """DescribeEndpointConfig."""
    record = region.configs.get(request["EndpointConfigName"])
    return {
        "EnableNetworkIsolation": False,
        **_without_tags(record.request),
        "ProductionVariants": [{"InitialVariantWeight": 1.0, **variant} for variant in record.variants],
        "EndpointConfigArn": record.arn,
        "CreationTime": record.created,
    }


def list_configs(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """ListEndpointConfigs."""
    records, token = page(region.configs, request)
    summaries = [{"EndpointConfigName": r.name, "EndpointConfigArn": r.arn, "CreationTime": r.created} for r in records]
    return answer("EndpointConfigs", summaries, token)


def delete_config(region: Region, request: Mapping[str, Any]) -> dict[str, Any]:
    """DeleteEndpointConfig: also one that an endpoint uses, as on SageMaker."""
    region.configs.remove(request["EndpointConfigName"])
    return {}


def _without_tags(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "Tags"}
