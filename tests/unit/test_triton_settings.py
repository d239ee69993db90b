"""Triton's environment variables."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import InvalidEndpointError, TritonSettings


def test_sets_nothing_by_default() -> None:
    assert TritonSettings().environment == {}


def test_renders_every_setting() -> None:
    settings = TritonSettings(
        model_namespacing=False,
        thread_count=16,
        buffer_manager_thread_count=4,
        log_verbose=False,
        log_info=True,
        log_warning=True,
        log_error=True,
        shm_default_byte_size=cdk.Size.mebibytes(64),
        shm_growth_byte_size=cdk.Size.kibibytes(512),
        model_load_gpu_limit=0.8,
        inference_type="generate",
        additional_args=["--exit-timeout-secs=5", "--rate-limit=off"],
    )
    assert settings.environment == {
        "SAGEMAKER_TRITON_DISABLE_MODEL_NAMESPACING": "false",
        "SAGEMAKER_TRITON_THREAD_COUNT": "16",
        "SAGEMAKER_TRITON_BUFFER_MANAGER_THREAD_COUNT": "4",
        "SAGEMAKER_TRITON_LOG_VERBOSE": "false",
        "SAGEMAKER_TRITON_LOG_INFO": "true",
        "SAGEMAKER_TRITON_LOG_WARNING": "true",
        "SAGEMAKER_TRITON_LOG_ERROR": "true",
        "SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE": "67108864",
        "SAGEMAKER_TRITON_SHM_GROWTH_BYTE_SIZE": "524288",
        "SAGEMAKER_TRITON_MODEL_LOAD_GPU_LIMIT": "0.8",
        "SAGEMAKER_TRITON_INFERENCE_TYPE": "generate",
        "SAGEMAKER_TRITON_ADDITIONAL_ARGS": "--exit-timeout-secs=5 --rate-limit=off",
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"thread_count": 0}, "thread_count must be at least 1, got 0"),
        ({"buffer_manager_thread_count": -1}, "buffer_manager_thread_count must be at least 1, got -1"),
        ({"model_load_gpu_limit": 0}, "above 0 and at most 1, got 0"),
        ({"model_load_gpu_limit": 1.1}, "above 0 and at most 1, got 1.1"),
        ({"inference_type": "stream"}, "'generate_stream', got 'stream'"),
        ({"additional_args": ["--a b"]}, "without blanks, got '--a b'"),
        ({"additional_args": [""]}, "without blanks, got ''"),
    ],
)
def test_refuses_what_triton_refuses(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidEndpointError, match=problem):
        TritonSettings(**arguments)


def test_leaves_tokens_to_cloudformation() -> None:
    stack = cdk.Stack(cdk.App(), "Stack")
    number: Any = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    environment = TritonSettings(thread_count=number).environment
    assert stack.resolve(environment["SAGEMAKER_TRITON_THREAD_COUNT"]) == {"Ref": "Number"}
