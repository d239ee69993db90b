"""The CDK app: one multi-model endpoint on CPUs, one on GPUs."""

import aws_cdk as cdk

from stacks import CpuMultiModelStack, GpuTritonMultiModelStack

app = cdk.App()
CpuMultiModelStack(app, "CpuMultiModelStack")
GpuTritonMultiModelStack(app, "GpuTritonMultiModelStack")
app.synth()
