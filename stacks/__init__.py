"""The two stacks that are ready to deploy."""

from .cpu_stack import CpuMultiModelStack
from .gpu_triton_stack import GpuTritonMultiModelStack

__all__ = ["CpuMultiModelStack", "GpuTritonMultiModelStack"]
