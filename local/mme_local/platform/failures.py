"""The words for what goes wrong with a container, with the names that its user knows."""

from __future__ import annotations

from dataclasses import dataclass

from mme_local.platform.errors import InternalFailure, InvokeError, ModelError, ServiceUnavailable
from mme_local.platform.model import InstanceModel
from mme_local.servers.base import LoadError, ServerError


@dataclass(frozen=True)
class Failures:
    """Makes the errors of one container.

    Attributes:
        endpoint_name: The endpoint it belongs to.
        container: Its name in the pipeline.
        log_group_arn: Where its log is.
    """

    endpoint_name: str
    container: str
    log_group_arn: str

    def model_error(self, status: int, message: str) -> ModelError:
        """Return SageMaker's error for a container's own error answer."""
        return ModelError(status, message, container=self.container, log_group_arn=self.log_group_arn)

    def load_refused(self, error: LoadError) -> ModelError:
        """Return the error for a model that the server did not load."""
        return self.model_error(error.status, error.body.decode(errors="replace"))

    def load_timed_out(self, model: InstanceModel) -> ModelError:
        """Return the error for a model whose load was given up."""
        return self.model_error(0, f"Model {model.target_model} was not downloaded and loaded in time")

    def too_big(self, model: InstanceModel, need: int, budget: int, what: str) -> ModelError:
        """Return the error for a model that can never fit."""
        return self.model_error(
            507, f"Model {model.target_model} needs {need} bytes of {what}, more than the whole budget of {budget}"
        )

    def disk_full(self, model: InstanceModel, error: InvokeError) -> ModelError:
        """Return the error for a model that the disk has no room for, with all others gone that could go."""
        return self.model_error(507, f"Model {model.target_model} was not downloaded: {error.message}")

    def not_running(self, error: ServerError) -> ServiceUnavailable:
        """Return the error for a container that is down and stays so for now."""
        return ServiceUnavailable(f"Container {self.container} of {self.endpoint_name} is not running: {error}")

    def server_gone(self, error: ServerError) -> ModelError:
        """Return SageMaker's error for a container that does not answer."""
        return self.model_error(
            0, f"Amazon SageMaker could not get a response from the {self.endpoint_name} endpoint. {error}"
        )

    def invocation_timed_out(self) -> ModelError:
        """Return SageMaker's error for a container that takes too long."""
        return self.model_error(
            0,
            f"Your invocation timed out while waiting for a response from container {self.container}. Review the "
            "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.",
        )


def unexpected(error: Exception) -> InternalFailure:
    """Return the error for a bug of ours."""
    return InternalFailure(f"mme-local failed: {type(error).__name__}: {error}")
