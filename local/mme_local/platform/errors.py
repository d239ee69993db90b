"""What InvokeEndpoint answers when it cannot answer with a prediction: SageMaker's error types, codes and bodies."""

from __future__ import annotations

import json
from typing import ClassVar

# ModelError and its siblings carry texts of at most this length in the API's model.
MAX_MESSAGE = 2048


class InvokeError(Exception):
    """An answer of InvokeEndpoint that is an error.

    Args:
        message: The text that the caller sees.
        code: SageMaker's machine-readable ``ErrorCode``, beside the exception's type.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "InternalFailure"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message[:MAX_MESSAGE]
        self.code = code

    def members(self) -> dict[str, object]:
        """Return the members of the error's JSON body."""
        members: dict[str, object] = {"Message": self.message}
        if self.code is not None:
            members["ErrorCode"] = self.code
        return members

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body as SageMaker's runtime sends them (protocol rest-json)."""
        headers = {"content-type": "application/json", "x-amzn-errortype": self.type}
        return self.status, headers, json.dumps(self.members()).encode()


class InternalFailure(InvokeError):
    """The platform itself failed: a bug of ours."""


class InternalDependencyException(InvokeError):
    """Something the platform depends on, such as S3, did not answer."""

    status = 530
    type = "InternalDependencyException"


class ServiceUnavailable(InvokeError):
    """No instance of the variant can take the request now."""

    status = 503
    type = "ServiceUnavailable"


class InvalidRequest(InvokeError):
    """The request is wrong; sending it again does not help."""

    status = 400
    type = "ValidationError"


class ModelNotReadyException(InvokeError):
    """The model is still being downloaded or loaded; sending the request again does help."""

    status = 429
    type = "ModelNotReadyException"


class ModelError(InvokeError):
    """The container answered with an error, or did not answer (status 0).

    Args:
        original_status: The status that the container answered, 0 when there was no answer.
        original_message: The container's own text, cut to the API's 2048 characters.
        container: The container's name in its pipeline.
        log_group_arn: Where the container's log is.
    """

    status = 424
    type = "ModelError"

    def __init__(self, original_status: int, original_message: str, *, container: str, log_group_arn: str) -> None:
        side = "client" if 400 <= original_status < 500 else "server"
        code = "CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL"
        super().__init__(
            f'Received {side} error ({original_status}) from {container} with message "{original_message[:1500]}". '
            f"See log group {log_group_arn} for more information.",
            code=code,
        )
        self.original_status = original_status
        self.original_message = original_message[:MAX_MESSAGE]
        self.log_group_arn = log_group_arn

    def members(self) -> dict[str, object]:
        """Return the members of the error's JSON body, the container's own answer among them."""
        return {
            **super().members(),
            "OriginalStatusCode": self.original_status,
            "OriginalMessage": self.original_message,
            "LogStreamArn": self.log_group_arn,
        }
