"""The seam between the control plane, which keeps SageMaker's records, and the data plane, which serves models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from mme_local.hosting.spec import EndpointSpec


class HostingError(Exception):
    """A fleet did not come up; its text is the endpoint's ``FailureReason``."""


class Hosting(Protocol):
    """What the control plane asks of whoever runs the model servers. All methods run on the event loop."""

    async def deploy(self, spec: EndpointSpec) -> None:
        """Start the fleet of a new or an updated endpoint, switch traffic to it, drain and stop the old one.

        ``HostingError`` when it does not come up; the old fleet then goes on serving.
        """

    async def begin(self, spec: EndpointSpec) -> None:
        """Start a new fleet beside the one that serves; no request reaches it yet.

        ``HostingError`` when it does not come up; then there is none.
        """

    async def shift(self, endpoint_name: str, share: float) -> None:
        """Let the new fleet answer this share of the requests, 0 to 1."""

    async def resize(self, spec: EndpointSpec, *, new: bool) -> None:
        """Bring the new or the old fleet to these weights and instance counts; ``HostingError`` when it cannot."""

    async def finish(self, endpoint_name: str, *, keep_new: bool) -> None:
        """Give all requests to one of the two fleets; drain and stop the other."""

    async def flush_metrics(self) -> None:
        """Deliver to CloudWatch what was counted so far."""

    async def adjust(self, spec: EndpointSpec) -> None:
        """Apply changed weights and instance counts of the running configuration."""

    async def remove(self, endpoint_name: str) -> None:
        """Drain and stop the endpoint's fleet."""

    async def image_labels(self, image: str) -> Mapping[str, str] | None:
        """The labels of an image that would run here as it is; None when it would not, or is not on this machine."""
        ...

    async def has_image(self, image: str) -> bool | None:
        """Whether Docker has an image; None when no image is to run as it is."""
        ...

    async def invoke(
        self, endpoint_name: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Answer InvokeEndpoint: lower-case request headers in; status, headers and body out."""
        ...

    async def close(self) -> None:
        """Stop everything."""


class NoServers:
    """A hosting without model servers: endpoints are in service at once, invocations say why they fail."""

    async def deploy(self, spec: EndpointSpec) -> None:
        """Report the endpoint as up."""

    async def begin(self, spec: EndpointSpec) -> None:
        """Report the fleet as up: waits and alarms of a deployment count here, too."""

    async def shift(self, endpoint_name: str, share: float) -> None:
        """There is no traffic."""

    async def resize(self, spec: EndpointSpec, *, new: bool) -> None:
        """There is nothing to resize."""

    async def finish(self, endpoint_name: str, *, keep_new: bool) -> None:
        """There is nothing to stop."""

    async def flush_metrics(self) -> None:
        """There is nothing to deliver."""

    async def adjust(self, spec: EndpointSpec) -> None:
        """There is nothing to adjust."""

    async def remove(self, endpoint_name: str) -> None:
        """There is nothing to stop."""

    async def image_labels(self, image: str) -> Mapping[str, str] | None:
        """No image runs here."""
        return None

    async def has_image(self, image: str) -> bool | None:
        """No image runs here."""
        return None

    async def invoke(
        self, endpoint_name: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Answer 503: nobody serves models in this process."""
        message = f"endpoint {endpoint_name} has no model servers: this mme-local runs the control plane only"
        answer = json.dumps({"Message": message}).encode()
        return 503, {"content-type": "application/json", "x-amzn-errortype": "ServiceUnavailable"}, answer

    async def close(self) -> None:
        """There is nothing to stop."""
