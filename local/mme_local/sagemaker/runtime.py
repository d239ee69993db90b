"""SageMaker's runtime API on the wire: which operation a request is, and what those answer that are not there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_PATH = re.compile(r"/endpoints/([^/]*)/([a-z-]+)")
_OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
}
_WHY_NOT = {
    "InvokeEndpointAsync": "Endpoint {} has no AsyncInferenceConfig; use InvokeEndpoint.",
    "InvokeEndpointWithResponseStream": "InvokeEndpointWithResponseStream has no TargetModel, so that no multi-model"
    " endpoint takes it, and mme-local streams no answers: use InvokeEndpoint for {}.",
    "InvokeEndpointWithBidirectionalStream": "InvokeEndpointWithBidirectionalStream has no TargetModel, so that no"
    " multi-model endpoint takes it, and mme-local has no streams: use InvokeEndpoint for {}.",
}


@dataclass(frozen=True)
class Call:
    """A call of an endpoint.

    Args:
        operation: The API's name for it.
        endpoint: The endpoint that it names.
    """

    operation: str
    endpoint: str

    def not_there(self) -> tuple[int, dict[str, str], bytes] | None:
        """Why this operation answers no endpoint of ours; None for InvokeEndpoint."""
        why = _WHY_NOT.get(self.operation)
        return None if why is None else invalid(why.format(self.endpoint))


def call(method: str, path: str) -> Call | None:
    """The call that a request is, if it is one."""
    match = _PATH.fullmatch(path)
    if match is None or method != "POST" or match[2] not in _OPERATIONS:
        return None
    return Call(_OPERATIONS[match[2]], match[1])


def invalid(message: str) -> tuple[int, dict[str, str], bytes]:
    """The runtime's ValidationError."""
    headers = {"content-type": "application/json", "x-amzn-errortype": "ValidationError"}
    return 400, headers, json.dumps({"Message": message}).encode()
