"""What the service remembers, for each account and region."""

from __future__ import annotations

import time
from asyncio import Task
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from mme_local.aws.scope import Scope
from mme_local.hosting.spec import EndpointSpec
from mme_local.sagemaker.errors import ValidationError


def arn(scope: Scope, kind: str, name: str) -> str:
    """The ARN of a resource; SageMaker writes the name in lower case."""
    return scope.arn("sagemaker", f"{kind}/{name.lower()}")


@dataclass
class Record:
    """A resource: the checked request that made it, and when."""

    kind: ClassVar[str]
    """What its ARN calls it."""
    noun: ClassVar[str]
    """What messages call it."""
    api: ClassVar[str]
    """What operations and CloudFormation call it: ``CreateModel``, ``AWS::SageMaker::Model``."""
    updatable: ClassVar[bool] = False
    """Whether there is an operation that changes it; without one CloudFormation replaces it for each change."""

    name: str
    arn: str
    request: dict[str, Any]
    created: float = field(default_factory=time.time)
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def name_member(cls) -> str:
        """The member of requests, and property of templates, with the resource's name."""
        return f"{cls.api}Name"


class Model(Record):
    """A model: one or more containers."""

    kind = "model"
    noun = "model"
    api = "Model"

    @property
    def containers(self) -> list[dict[str, Any]]:
        """The containers in pipeline order."""
        if "PrimaryContainer" in self.request:
            return [self.request["PrimaryContainer"]]
        return list(self.request["Containers"])

    @property
    def multi_model(self) -> bool:
        """Whether one of the containers hosts many models."""
        return any(container.get("Mode") == "MultiModel" for container in self.containers)

    @property
    def direct(self) -> bool:
        """Whether callers name the container that they call."""
        return bool(self.request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct")


class EndpointConfig(Record):
    """An endpoint configuration: the variants, each with a model and instances."""

    kind = "endpoint-config"
    noun = "endpoint configuration"
    api = "EndpointConfig"

    @property
    def variants(self) -> list[dict[str, Any]]:
        """The production variants as requested."""
        return list(self.request["ProductionVariants"])


@dataclass
class Variant:
    """What a variant runs with now, and what it shall run with."""

    name: str
    images: tuple[str, ...]
    weight: float
    instance_count: int
    desired_weight: float
    desired_instance_count: int


@dataclass
class PendingDeployment:
    """A new configuration on its way into service."""

    config_name: str
    variants: list[Variant]
    instance_types: dict[str, str]
    started: float = field(default_factory=time.time)
    stage: str = "Creating"
    stage_started: float = field(default_factory=time.time)
    share: float = 0.0

    def enter(self, stage: str, share: float) -> None:
        """Note the stage, in the words of ``VariantStatus``, and the new fleet's share of the traffic."""
        if stage != self.stage:
            self.stage_started = time.time()
        self.stage, self.share = stage, share


@dataclass
class Endpoint(Record):
    """An endpoint with the configuration that serves its traffic."""

    kind: ClassVar[str] = "endpoint"
    noun: ClassVar[str] = "endpoint"
    api: ClassVar[str] = "Endpoint"
    updatable: ClassVar[bool] = True

    config_name: str = ""
    status: str = "Creating"
    failure_reason: str | None = None
    modified: float = field(default_factory=time.time)
    variants: list[Variant] = field(default_factory=list)
    deployment_config: dict[str, Any] | None = None
    pending: PendingDeployment | None = None
    hosted: EndpointSpec | None = None
    """What the data plane runs: configuration and models may be deleted meanwhile."""
    capture: dict[str, Any] | None = None
    operation: Task[str | None] | None = None
    """The running or last change; its result is the reason why it failed, or None."""

    @property
    def serving(self) -> bool:
        """Whether invocations reach a fleet."""
        return self.status in ("InService", "Updating", "RollingBack")

    @property
    def in_progress(self) -> bool:
        """Whether a change is under way, during which no other can start."""
        return self.status in ("Creating", "Updating", "RollingBack", "Deleting")


RECORD_TYPES: tuple[type[Record], ...] = (Model, EndpointConfig, Endpoint)
"""All kinds of resources: CloudFormation, tags, permissions and the shelves below know no others."""

R = TypeVar("R", bound=Record)


class Shelf(Generic[R]):
    """The resources of one kind in one account and region. Names differ by more than case."""

    def __init__(self, scope: Scope, record_type: type[R]) -> None:
        self._scope = scope
        self._type = record_type
        self._records: dict[str, R] = {}

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._records.values()))

    def arn(self, name: str) -> str:
        """The ARN of a resource of this name, whether it exists or not."""
        return arn(self._scope, self._type.kind, name)

    def add(self, record: R) -> None:
        """Keep a new resource; the name must be free."""
        self.check_free(record.name)
        self._records[record.name.lower()] = record

    def check_free(self, name: str) -> None:
        """Refuse a name that is taken."""
        if name.lower() in self._records:
            raise ValidationError(f'Cannot create already existing {self._type.noun} "{self.arn(name)}".')

    def find(self, name: str) -> R | None:
        """The resource, if there is one."""
        return self._records.get(name.lower())

    def get(self, name: str) -> R:
        """The resource, or SageMaker's error for an unknown one."""
        record = self.find(name)
        if record is None:
            raise ValidationError(f'Could not find {self._type.noun} "{self.arn(name)}".')
        return record

    def remove(self, name: str) -> R:
        """Forget the resource and return it."""
        record = self.get(name)
        del self._records[record.name.lower()]
        return record


class Region:
    """All resources of one account and region."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.models = Shelf(scope, Model)
        self.configs = Shelf(scope, EndpointConfig)
        self.endpoints = Shelf(scope, Endpoint)
        self._shelves: dict[type[Record], Shelf[Any]] = {
            Model: self.models,
            EndpointConfig: self.configs,
            Endpoint: self.endpoints,
        }

    def shelf(self, record_type: type[Record]) -> Shelf[Any]:
        """The resources of a kind; ``KeyError`` for a kind that none are kept of."""
        return self._shelves[record_type]
