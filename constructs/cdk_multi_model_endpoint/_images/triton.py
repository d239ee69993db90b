"""The environment variables of AWS's Triton image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import aws_cdk as cdk

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.errors import raise_if_any
from cdk_multi_model_endpoint._rules.kinds import checked_fields
from cdk_multi_model_endpoint._rules.tokens import is_token
from cdk_multi_model_endpoint._rules.units import bytes_problems
from multi_model_endpoint.artifacts.findings import Problem


@checked_fields
@dataclass(frozen=True, kw_only=True)
class TritonSettings:
    """Settings of Triton in a multi-model endpoint, as the environment of its container.

    What the image's start script would refuse is refused here. Left out: what it ignores in multi-model mode
    (``SAGEMAKER_TRITON_DEFAULT_MODEL_NAME``), what it must set itself there (the ping mode), and ports that nothing can
    reach on SageMaker (gRPC, metrics).

    Example:
        ```python
        TritonSettings(thread_count=16, log_verbose=False).environment
        ```

    Args:
        model_namespacing: Whether ensembles of different models may use the same names inside; on unless False.
        thread_count: Threads that answer requests.
        buffer_manager_thread_count: Threads that copy tensors.
        log_verbose: Log every request; on unless False.
        log_info: Log information.
        log_warning: Log warnings.
        log_error: Log errors.
        shm_default_byte_size: Shared memory with each Python model at its start; 16 MiB unless given.
        shm_growth_byte_size: By how much it grows; 1 MiB unless given.
        model_load_gpu_limit: The share of each GPU's memory, above 0 up to 1, beyond which no model is loaded. Triton
            then answers that it is out of memory, and SageMaker unloads other models.
        inference_type: ``infer``, or ``generate`` or ``generate_stream`` for language models.
        additional_args: Further arguments of ``tritonserver``, without blanks.

    Raises:
        InvalidEndpointError: If Triton would not start.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deploy-models-frameworks-triton.html
    """

    model_namespacing: bool | None = None
    thread_count: int | None = None
    buffer_manager_thread_count: int | None = None
    log_verbose: bool | None = None
    log_info: bool | None = None
    log_warning: bool | None = None
    log_error: bool | None = None
    shm_default_byte_size: cdk.Size | None = None
    shm_growth_byte_size: cdk.Size | None = None
    model_load_gpu_limit: float | None = None
    inference_type: Literal["infer", "generate", "generate_stream"] | None = None
    additional_args: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what Triton refuses."""
        raise_if_any("TritonSettings", self._problems())

    @property
    def environment(self) -> dict[str, str]:
        """The variables, for ``MultiModelContainer(environment=…)``; those that are not given are not set."""
        values = {
            # The script passes this on as --model-namespacing, whatever its name says
            "DISABLE_MODEL_NAMESPACING": _flag(self.model_namespacing),
            "THREAD_COUNT": _number(self.thread_count),
            "BUFFER_MANAGER_THREAD_COUNT": _number(self.buffer_manager_thread_count),
            "LOG_VERBOSE": _flag(self.log_verbose),
            "LOG_INFO": _flag(self.log_info),
            "LOG_WARNING": _flag(self.log_warning),
            "LOG_ERROR": _flag(self.log_error),
            "SHM_DEFAULT_BYTE_SIZE": _bytes(self.shm_default_byte_size),
            "SHM_GROWTH_BYTE_SIZE": _bytes(self.shm_growth_byte_size),
            "MODEL_LOAD_GPU_LIMIT": _number(self.model_load_gpu_limit),
            "INFERENCE_TYPE": self.inference_type,
            "ADDITIONAL_ARGS": _joined(self.additional_args) or None,
        }
        return {f"SAGEMAKER_TRITON_{name}": value for name, value in values.items() if value is not None}

    def _problems(self) -> Iterator[Problem]:
        for argument in ("thread_count", "buffer_manager_thread_count"):
            if (count := getattr(self, argument)) is not None:
                yield from validate.at_least(argument, count, 1)
        limit = self.model_load_gpu_limit
        if limit is not None and not is_token(limit) and not 0 < limit <= 1:
            yield Problem("outOfRange", f"model_load_gpu_limit must be a share above 0 and at most 1, got {limit}")
        if self.inference_type not in (None, "infer", "generate", "generate_stream"):
            yield Problem(
                "unknownValue",
                f"inference_type must be 'infer', 'generate' or 'generate_stream', got {self.inference_type!r}",
            )
        for argument in ("shm_default_byte_size", "shm_growth_byte_size"):
            yield from bytes_problems(argument, getattr(self, argument))
        for value in () if is_token(self.additional_args) else self.additional_args:
            if not value or len(value.split()) != 1:
                yield Problem(
                    "invalidTritonArgument", f"additional_args must be single arguments without blanks, got {value!r}"
                )


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _joined(values: Sequence[str]) -> str:
    return cdk.Fn.join(" ", [*values]) if is_token(values) else " ".join(values)


def _number(value: float | None) -> str | None:
    if value is None:
        return None
    return cdk.Token.as_string(value) if is_token(value) else str(value)


def _bytes(size: cdk.Size | None) -> str | None:
    return None if size is None else _number(int(size.to_bytes()))
