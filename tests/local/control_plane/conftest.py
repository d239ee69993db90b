"""Short ways to make SageMaker's resources."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

IMAGE = "174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1"
ROLE = "arn:aws:iam::000000000000:role/Models"


def container(**changes: Any) -> dict[str, Any]:
    return {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://models/all/", **changes}


def variant(model: str, **changes: Any) -> dict[str, Any]:
    return {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 1.0,
        **changes,
    }


class Maker:
    """Creates resources over the API and names them."""

    def __init__(self, client: Any, names: Callable[[str], str]) -> None:
        self.client = client
        self.name = names

    def model(self, **changes: Any) -> str:
        name = self.name("Model")
        self.client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container(), **changes)
        return name

    def single_model(self) -> str:
        name = self.name("Single")
        self.client.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE})
        return name

    def config(self, *variants: dict[str, Any], **changes: Any) -> str:
        name = self.name("Config")
        chosen = list(variants) or [variant(self.model())]
        self.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=chosen, **changes)
        return name

    def unhostable_config(self) -> str:
        """One that SageMaker takes, and that fails to come up here."""
        serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
        chosen = {"VariantName": "AllTraffic", "ModelName": self.single_model(), "ServerlessConfig": serverless}
        return self.config(chosen)

    def endpoint(self, config: str | None = None, **changes: Any) -> str:
        name = self.name("endpoint")
        self.client.create_endpoint(EndpointName=name, EndpointConfigName=config or self.config(), **changes)
        return name


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Names that no other test uses."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}{next(numbers)}"


@pytest.fixture(scope="session")
def sagemaker(control_plane: Any) -> Any:
    return control_plane.client("sagemaker")


@pytest.fixture(scope="session")
def make(sagemaker: Any, unique: Callable[[str], str]) -> Maker:
    return Maker(sagemaker, unique)


@pytest.fixture
def settled(sagemaker: Any, eventually: Callable[..., Any]) -> Callable[[str], dict[str, Any]]:
    """Wait until an endpoint's change is over, and describe it."""

    def wait(name: str) -> dict[str, Any]:
        def described() -> dict[str, Any] | None:
            answer: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
            return answer if answer["EndpointStatus"] in ("InService", "Failed") else None

        found: dict[str, Any] = eventually(described)
        return found

    return wait


@pytest.fixture(scope="session")
def shapes() -> Any:
    """How to write a container and a variant."""

    class Shapes:
        image = IMAGE
        container = staticmethod(container)
        variant = staticmethod(variant)

    return Shapes
