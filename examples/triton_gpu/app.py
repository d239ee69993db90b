"""A folder of models on NVIDIA Triton and GPUs."""

from pathlib import Path

import aws_cdk as cdk

from cdk_multi_model_endpoint import InferenceImage, ModelStore, MultiModelContainer, MultiModelEndpoint, TritonSettings

MODELS = Path(__file__).parent / "models"

app = cdk.App()
stack = cdk.Stack(app, "TritonGpu")

store = ModelStore(stack, "Models")
models = store.add_models(MODELS)
endpoint = MultiModelEndpoint(
    stack,
    "Endpoint",
    container=MultiModelContainer(
        image=InferenceImage.triton("26.05"),
        model_store=store,
        environment=TritonSettings(
            log_verbose=False,
            model_load_gpu_limit=0.9,
            shm_default_byte_size=cdk.Size.mebibytes(64),
        ).environment,
    ),
    instance_type="ml.g5.2xlarge",
    inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
    container_startup_health_check_timeout=cdk.Duration.minutes(10),
)
endpoint.default_variant.auto_scale_instance_count(max_capacity=4).scale_on_gpu_utilization(
    "Busy", target_utilization_percent=60
)

cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
for name, model in models.items():
    cdk.CfnOutput(stack, f"{name.title()}Model", value=model.target_model)

app.synth()
