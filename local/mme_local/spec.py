"""What the control plane asks the data plane to host: plain values, no AWS shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ContainerSpec:
    """One container of a model, as ``CreateModel`` describes it."""

    image: str
    multi_model: bool
    model_data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    model_cache: bool = True
    hostname: str | None = None


@dataclass(frozen=True)
class VariantSpec:
    """A production variant with the containers of its model, in pipeline order."""

    name: str
    containers: tuple[ContainerSpec, ...]
    instance_type: str
    instance_count: int
    weight: float
    startup_timeout: float = 240.0
    """Seconds a server may take until its first successful ping."""
    direct: bool = False
    """Whether each call goes to the one container that it names, rather than through all of them in order."""
    execution_role: str | None = None
    """The role that reads the artifacts, where policies are enforced."""


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint with the configuration that it is to run."""

    name: str
    config_name: str
    variants: tuple[VariantSpec, ...]
    region: str = "us-east-1"
    """Whose CloudWatch gets the metrics."""
