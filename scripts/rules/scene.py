"""Where the catalogue's examples are played."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk_multi_model_endpoint import (
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    ScalableInstanceCount,
)
from cdk_multi_model_endpoint._rules.places import Place, place_of
from multi_model_endpoint.artifacts import InvalidModelError
from multi_model_endpoint.artifacts.findings import Advice, Problem

Example = Callable[["Scene"], object]

ACCOUNT, REGION = "123456789012", "us-west-2"
_ACKNOWLEDGED = re.compile(r"(.*) \[ack: cdk-multi-model-endpoint:(\w+)\]", re.S)


class Scene:
    """An app with a stack, and the parts of an endpoint."""

    @cached_property
    def app(self) -> cdk.App:
        """The app."""
        return cdk.App()

    @cached_property
    def stack(self) -> cdk.Stack:
        """The stack."""
        return self.stack_in(REGION)

    @cached_property
    def place(self) -> Place:
        """Where the stack is."""
        return place_of(self.stack)

    def stack_in(self, region: str, account: str = ACCOUNT) -> cdk.Stack:
        """Another stack."""
        environment = cdk.Environment(account=account, region=region)
        construct_id = "Scoring" if (region, account) == (REGION, ACCOUNT) else "Other"
        return cdk.Stack(self.app, construct_id, env=environment)

    @cached_property
    def store(self) -> ModelStore:
        """A store."""
        return ModelStore(self.stack, "Models")

    @cached_property
    def bucket(self) -> s3.IBucket:
        """A bucket that is there."""
        return s3.Bucket.from_bucket_name(self.stack, "Theirs", "models")

    def bucket_of_other_account(self, **options: Any) -> s3.IBucket:
        """A bucket of somebody else."""
        return s3.Bucket.from_bucket_attributes(
            self.stack, "Foreign", bucket_name="models", account="111111111111", **options
        )

    def container(self, **options: Any) -> MultiModelContainer:
        """A container."""
        return MultiModelContainer(
            **{"image": InferenceImage.built_in("xgboost", "3.2-0"), "model_store": self.store, **options}
        )

    def endpoint(self, construct_id: str = "Endpoint", **arguments: Any) -> MultiModelEndpoint:
        """An endpoint."""
        options = {"container": self.container(), "instance_type": "ml.m5.xlarge", **arguments}
        return MultiModelEndpoint(self.stack, construct_id, **options)

    @cached_property
    def scaling(self) -> ScalableInstanceCount:
        """The scaling of an endpoint's variant."""
        return self.endpoint().default_variant.auto_scale_instance_count(max_capacity=4)


def file(name: str, content: bytes = b"weights") -> Path:
    """Write a file into the current folder."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def findings(example: Example) -> list[Problem | Advice]:
    """What an example is refused for or warned of: it raises it, returns it, or returns a construct that has it."""
    try:
        result = example(Scene())
    except (InvalidEndpointError, InvalidModelError) as error:
        return [*error.problems]
    if isinstance(result, Construct):
        said = [_ACKNOWLEDGED.fullmatch(str(entry.data)) for entry in result.node.metadata]
        return [Advice(match[2], match[1]) for match in said if match is not None]
    assert isinstance(result, Iterable)
    return [*result]
