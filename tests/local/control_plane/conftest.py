"""Short ways to make SageMaker's resources."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mme_local.ministack.credentials import Credentials

IMAGE = "174872318107.dkr.ecr.us-west-2.amazonaws.com/knn:1"
ROLE = "arn:aws:iam::000000000000:role/Models"


def invocation(credentials: Credentials, endpoint: str) -> dict[str, Any]:
    """A call of an endpoint as the web server hands it to the gateway."""
    signed = f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/20260101/us-east-1/sagemaker/aws4_request"
    path = f"/endpoints/{endpoint}/invocations"
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", signed.encode())],
        "client": ("127.0.0.1", 1),
    }


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


class Stack:
    """A stack of its own for each test, deployed through the real CloudFormation API."""

    def __init__(self, client: Any, name: str, eventually: Callable[..., Any]) -> None:
        self.client = client
        self.name = name
        self._eventually = eventually

    def create(self, template: dict[str, Any], **options: Any) -> str:
        self.client.create_stack(StackName=self.name, TemplateBody=json.dumps(template), **options)
        return self._settled()

    def update(self, template: dict[str, Any], **options: Any) -> str:
        self.client.update_stack(StackName=self.name, TemplateBody=json.dumps(template), **options)
        return self._settled()

    def delete(self) -> None:
        assert self.try_to_delete() == "DELETE_COMPLETE"

    def try_to_delete(self) -> str:
        stack_id = self.client.describe_stacks(StackName=self.name)["Stacks"][0]["StackId"]
        self.client.delete_stack(StackName=self.name)
        return self._settled(stack_id)

    @property
    def outputs(self) -> dict[str, str]:
        stack = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def physical_id(self, logical_id: str) -> str:
        detail = self.client.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        found: str = detail["StackResourceDetail"]["PhysicalResourceId"]
        return found

    def reasons(self) -> list[str]:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return [event.get("ResourceStatusReason", "") for event in events]

    def _status(self, name: str) -> str:
        status: str = self.client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return status

    def _settled(self, stack_id: str | None = None) -> str:
        def final() -> str | None:
            status = self._status(stack_id or self.name)
            return None if status.endswith("_IN_PROGRESS") else status

        status: str = self._eventually(final)
        return status


@pytest.fixture
def stack(control_plane: Any, unique: Any, eventually: Any) -> Stack:
    return Stack(control_plane.client("cloudformation"), unique("Stack"), eventually)
