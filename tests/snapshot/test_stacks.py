"""The whole templates of both stacks. A change here is a change of somebody's live endpoint: read the diff."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from syrupy.assertion import SnapshotAssertion

from stacks import CpuMultiModelStack, GpuTritonMultiModelStack

from .conftest import masked


@pytest.mark.parametrize("stack", [CpuMultiModelStack, GpuTritonMultiModelStack])
def test_stack_is_unchanged(stack: type[cdk.Stack], snapshot_json: SnapshotAssertion) -> None:
    assert masked(stack(cdk.App(), stack.__name__)) == snapshot_json
