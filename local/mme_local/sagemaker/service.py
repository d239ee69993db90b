"""The service: operations by name, requests checked, and the JSON protocol around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from mme_local.aws.protocol import Answer, answer_json
from mme_local.aws.scope import Scope
from mme_local.aws.shapes import check_request
from mme_local.hosting.plane import Hosting
from mme_local.sagemaker import models, tags
from mme_local.sagemaker.endpoints import Endpoints
from mme_local.sagemaker.errors import UnknownOperation, ValidationError
from mme_local.sagemaker.guardrails import Alarms, Clock
from mme_local.sagemaker.permissions import Roles
from mme_local.sagemaker.records import Region

log = structlog.get_logger(__name__)

SERVICE = "sagemaker"
TARGET_PREFIX = "SageMaker."

Operation = Callable[[Region, Mapping[str, Any]], dict[str, Any]]


class SageMaker:
    """SageMaker's API for endpoints. Everything is called on the event loop, so nothing needs a lock.

    Args:
        hosting: The data plane.
        roles: What is known of execution roles, when policies are enforced.
        alarms: The alarms that send a deployment back.
        clock: Measures the waits of deployments; real time when left out.
    """

    def __init__(
        self, hosting: Hosting, *, roles: Roles | None = None, alarms: Alarms | None = None, clock: Clock | None = None
    ) -> None:
        self.endpoints = Endpoints(hosting, alarms=alarms, roles=roles, clock=clock)
        self._labels = hosting.image_labels
        self._regions: dict[Scope, Region] = {}
        self._operations: dict[str, Operation] = {
            "CreateModel": partial(models.create_model, roles=roles),
            "DescribeModel": models.describe_model,
            "ListModels": models.list_models,
            "DeleteModel": models.delete_model,
            "CreateEndpointConfig": models.create_config,
            "DescribeEndpointConfig": models.describe_config,
            "ListEndpointConfigs": models.list_configs,
            "DeleteEndpointConfig": models.delete_config,
            "CreateEndpoint": self.endpoints.create,
            "DescribeEndpoint": self.endpoints.describe,
            "ListEndpoints": self.endpoints.list_all,
            "UpdateEndpoint": self.endpoints.update,
            "UpdateEndpointWeightsAndCapacities": self.endpoints.update_weights_and_capacities,
            "DeleteEndpoint": self.endpoints.delete,
            "AddTags": tags.add_tags,
            "ListTags": tags.list_tags,
            "DeleteTags": tags.delete_tags,
        }

    def region(self, scope: Scope) -> Region:
        """The resources of an account and region."""
        if scope not in self._regions:
            self._regions[scope] = Region(scope)
        return self._regions[scope]

    def call(self, scope: Scope, operation: str, request: Any) -> dict[str, Any]:
        """Check a request and run it; ``SageMakerError`` for whatever the API refuses."""
        if operation not in self._operations:
            raise UnknownOperation(f"mme-local has no {operation}; it has {', '.join(sorted(self._operations))}.")
        return self._operations[operation](self.region(scope), check_request(SERVICE, operation, request))

    async def call_with_images(self, scope: Scope, operation: str, request: Any) -> dict[str, Any]:
        """As ``call``, after a look at the images of a model, for which Docker may take its time."""
        if operation == "CreateModel":
            await models.check_images(check_request(SERVICE, operation, request), self._labels)
        return self.call(scope, operation, request)

    async def answer(self, scope: Scope, target: str, body: bytes) -> Answer:
        """Answer one request of the JSON protocol; ``target`` is the ``X-Amz-Target`` header."""

        async def call(request: Any) -> dict[str, Any]:
            if not target.startswith(TARGET_PREFIX):
                raise ValidationError("mme-local answers the SageMaker API and InvokeEndpoint.")
            return await self.call_with_images(scope, target.removeprefix(TARGET_PREFIX), request)

        return await answer_json(call, body)
