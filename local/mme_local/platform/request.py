"""One InvokeEndpoint request on its way through the platform."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Final

from mme_local.hosting.headers import (
    CUSTOM_ATTRIBUTES,
    INFERENCE_COMPONENT,
    INFERENCE_ID,
    TARGET_CONTAINER,
    TARGET_MODEL,
    TARGET_VARIANT,
)
from mme_local.hosting.spec import MAX_BODY, VariantSpec
from mme_local.platform.errors import InvalidRequest

_LIMITS: Final = {
    TARGET_VARIANT: ("targetVariant", 63),
    TARGET_CONTAINER: ("targetContainerHostname", 63),
    INFERENCE_COMPONENT: ("inferenceComponentName", 63),
    CUSTOM_ATTRIBUTES: ("customAttributes", 1024),
    "content-type": ("contentType", 1024),
    "accept": ("accept", 1024),
    INFERENCE_ID: ("inferenceId", 64),
}
# What the API takes, more than the names that we give to models.
# Its pattern is \A\S[\p{Print}]*\z: blanks are printable, control characters are not.
_TARGET_MODEL: Final = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*")
_FORWARDED: Final = ("content-type", "accept", CUSTOM_ATTRIBUTES)


class Invocation:
    """A checked request, and what is learned while it is answered.

    Attributes:
        body: Its bytes, never copied.
        target_container: The container it names, if any.
        target_model: The model it names, if any.
        target_variant: The variant it names, if any.
        forwarded: Headers for the container.
        model_seconds: Time that containers have taken so far.
        waited_seconds: Time that the request has waited for its model; None when the model was loaded already.
        cache_hit: Whether the model was loaded already; None when no multi-model container has seen the request.
        server_status: The last status that a container answered; 0 when one did not answer, None before.
    """

    __slots__ = (
        "body",
        "cache_hit",
        "forwarded",
        "model_seconds",
        "server_status",
        "target_container",
        "target_model",
        "target_variant",
        "waited_seconds",
    )

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        if len(body) > MAX_BODY:
            raise _constraint("body", f"Member must have length less than or equal to {MAX_BODY}")
        self.body = body
        self.target_container = headers.get(TARGET_CONTAINER)
        self.target_model = headers.get(TARGET_MODEL)
        self.target_variant = headers.get(TARGET_VARIANT)
        self.forwarded = {name: headers[name] for name in _FORWARDED if name in headers}
        self.model_seconds = 0.0
        self.waited_seconds: float | None = None
        self.cache_hit: bool | None = None
        self.server_status: int | None = None
        self._check(headers)

    def _check(self, headers: Mapping[str, str]) -> None:
        for header, (member, limit) in _LIMITS.items():
            value = headers.get(header)
            if value is not None and len(value) > limit:
                raise _constraint(member, f"Member must have length less than or equal to {limit}")
        if INFERENCE_COMPONENT in headers:  # no endpoint here has any
            raise InvalidRequest(
                "Inference Component Name header is not allowed for endpoints to which you dont plan to deploy"
                " inference components. Please remove the Inference Component Name header and try again."
            )
        target = self.target_model
        if target is None:
            return
        if len(target) > 1024:
            raise _constraint("targetModel", "Member must have length less than or equal to 1024")
        if _TARGET_MODEL.fullmatch(target) is None:
            raise _constraint("targetModel", r"Member must satisfy regular expression pattern: \A\S[\p{Print}]*\z")

    def check_target(self, endpoint_name: str, variant: VariantSpec) -> None:
        """Refuse a request without a model for a multi-model container, or with one for others.

        With direct invocation it must name a container, which is then the only one that counts; elsewhere it must not.

        Raises:
            InvalidRequest: In SageMaker's words, as far as they are known.
        """
        containers = variant.containers
        if variant.direct:
            if self.target_container is None:
                raise InvalidRequest(f"Request {uuid.uuid4()} is missing a target container hostname header.")
            containers = tuple(c for c in containers if c.hostname == self.target_container)
            if not containers:
                raise InvalidRequest(
                    f"Target container hostname {self.target_container} not found for endpoint {endpoint_name}."
                )
        elif self.target_container is not None:
            raise InvalidRequest("Target container hostname is supported only for endpoints with direct invocation.")
        multi_model = any(container.multi_model for container in containers)
        if multi_model and self.target_model is None:
            raise InvalidRequest(f"Request {uuid.uuid4()} is missing a target model header.")
        if not multi_model and self.target_model is not None:
            raise InvalidRequest(
                f"Endpoint {endpoint_name} is not a multi-model endpoint and does not support target model header.",
                code="TARGET_MODEL_HEADER_NOT_SUPPORTED",
            )


def artifact_url(prefix: str, target_model: str) -> str:
    """Return the artifact that ``target_model`` means below a ``ModelDataUrl``.

    SageMaker joins the two as they are, so that one of them has to bring the slash; AWS's own samples do it either
    way. A key with two slashes is another object's: what a policy says of ``tenant/*`` holds for what is loaded.
    """
    return prefix + target_model


def _constraint(member: str, constraint: str) -> InvalidRequest:
    return InvalidRequest(
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}"
    )
