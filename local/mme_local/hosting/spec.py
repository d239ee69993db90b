"""What the control plane asks the data plane to host: plain values, no AWS shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_BODY = 25 * 1024**2
"""Bytes of a request, by AWS's FAQ on model hosting; the API's service model still says 6 MB."""
SAFE_PORTS = 1000
"""How many ports from ``ContainerSpec.port`` on are a container's own."""
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
_S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9.-]+)?\.amazonaws\.com(?:\.cn)?")


def log_group(endpoint_name: str) -> str:
    """Return the name that SageMaker gives to an endpoint's log group."""
    return f"/aws/sagemaker/Endpoints/{endpoint_name}"


def split_s3_url(url: str) -> tuple[str, str]:
    """Bucket and key of an ``s3://`` URL or of an ``https://`` one of S3, path-style or virtual-hosted.

    A key is taken as it is spelled, also in an ``https://`` URL.
    """
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    if scheme == "s3":
        return host, path
    virtual = _S3_HOST.fullmatch(host)
    if virtual is not None and virtual["bucket"] is not None:
        return virtual["bucket"], path
    bucket, _, key = path.partition("/")
    return bucket, key


@dataclass(frozen=True)
class ContainerSpec:
    """One container of a model, as ``CreateModel`` describes it."""

    image: str
    multi_model: bool
    model_data_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    model_cache: bool = True
    hostname: str | None = None
    port: int | None = None
    """Where it is told to listen, beside the others of a pipeline; 8080 when it is alone."""
    architecture: str = "amd64"
    """Of the instance's processors, as Docker calls it."""
    network_isolation: bool = False
    """Whether it reaches no network, not even S3."""

    @property
    def repository(self) -> str:
        """The last element of the image's repository: ``sagemaker-xgboost`` of ``…/sagemaker-xgboost:3.2-0``."""
        return self.image.partition("@")[0].rpartition("/")[2].partition(":")[0]


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
    network_isolation: bool = False
    """Whether its containers reach no network, not even S3."""


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint with the configuration that it is to run."""

    name: str
    config_name: str
    variants: tuple[VariantSpec, ...]
    region: str = "us-east-1"
    """Whose CloudWatch gets the metrics."""
