"""Answers ``POST /models/{alias}``: calls the tenant's model, and says in HTTP's words how that went."""

from __future__ import annotations

import base64
import json
import logging
import os
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
)

from multi_model_endpoint import MultiModelClient
from multi_model_endpoint.aliases import UnknownAliasError, check_alias

# Lambda takes 6 MB, and gives as much, of which base64 makes 4.5
MOST_BYTES = 4_500_000
# of the time that is left: what remains is for the client to end, and for the answer
SHARE_OF_TIME = 0.9

calls = logging.getLogger("multi_model_endpoint.calls")
calls.setLevel(logging.INFO)
calls.propagate = False  # no second line, with Lambda's own fields before the JSON
calls.addHandler(logging.StreamHandler())
client = MultiModelClient(os.environ["ENDPOINT_NAME"], models=os.environ["MODELS"], call_log=True)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Call the model that the path names, among those of the tenant that the authorizer names."""
    tenant = event["requestContext"]["authorizer"]["lambda"]["tenant"]
    name = event["pathParameters"]["alias"]
    if not _is_own(tenant, name):
        return _message(404, f"there is no model {name!r}")
    body = event.get("body", "")
    content = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    if len(content) > MOST_BYTES:
        return _message(413, f"the body must have at most {MOST_BYTES} bytes, got {len(content)}")
    try:
        answer = client.invoke(
            f"{tenant}/{name}",
            content,
            content_type=event["headers"].get("content-type"),
            accept=event["headers"].get("accept"),
            timeout=SHARE_OF_TIME * context.get_remaining_time_in_millis() / 1000,
        )
    except UnknownAliasError:
        return _message(404, f"there is no model {name!r}")
    except ClientError as error:
        return _refused(error, name)
    except BotoCoreError as error:
        return _unanswered(error)
    if len(answer.body) > MOST_BYTES:
        return _message(502, f"the model's answer has more than {MOST_BYTES} bytes")
    return {
        "statusCode": 200,
        "headers": {"content-type": answer.content_type or "application/octet-stream"},
        "body": base64.b64encode(answer.body).decode(),
        "isBase64Encoded": True,
    }


def _is_own(tenant: str, name: str) -> bool:
    """Whether it can be an alias of the tenant: a name without slashes, behind the tenant's own."""
    try:
        check_alias(f"{tenant}/{name}")
    except ValueError:
        return False
    return "/" not in name


def _refused(error: ClientError, name: str) -> dict[str, Any]:
    """What to say when S3, SageMaker or the model has said no.

    Raises:
        ClientError: If it is this app's fault: it is to be found in the log and in the function's metric of errors.
    """
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if error.operation_name == "GetObject" and code == "AccessDenied":
        # who may not list the aliases hears no more of one that is not there
        return _message(404, f"there is no model {name!r}")
    if code == "ModelError":
        said: Any = error.response
        return _failed(said.get("OriginalStatusCode", 0), said.get("OriginalMessage", ""))
    if code == "ModelNotReadyException":
        return _message(503, "the model is still being loaded", retry_after=5)
    if status == 429 or "Throttl" in code:
        return _message(429, "too many requests", retry_after=1)
    if code == "ValidationError":
        return _message(502, "the model can't be called")
    if status >= 500:
        return _message(503, "the endpoint does not answer", retry_after=5)
    raise error


def _failed(status: int, message: str) -> dict[str, Any]:
    """What to say when the container has answered with an error."""
    if 400 <= status < 500:
        return _message(status, message)
    # "Prediction failed" is Multi Model Server's 503 for an exception in the model's own code
    if status in (503, 507) and "Prediction failed" not in message:
        return _message(503, "the model has no room or no worker", retry_after=5)
    return _message(502, "the model failed")


def _unanswered(error: BotoCoreError) -> dict[str, Any]:
    """What to say when nobody has answered.

    Raises:
        BotoCoreError: If nobody was asked, which is this app's fault.
    """
    if isinstance(error, ReadTimeoutError | ConnectTimeoutError):
        return _message(504, "no answer in time")
    if isinstance(error, ConnectionError | HTTPClientError):
        return _message(503, "the endpoint does not answer", retry_after=5)
    raise error


def _message(status: int, text: str, *, retry_after: int | None = None) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return {"statusCode": status, "headers": headers, "body": json.dumps({"message": text})}
