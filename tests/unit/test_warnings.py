"""Each warning alone: when it is given, and that it leaves tokens to CloudFormation."""

from __future__ import annotations

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint._rules import warnings as advise

TOKEN = cdk.Fn.import_value("elsewhere")
NUMBER_TOKEN = cdk.Token.as_number(cdk.Fn.ref("Count"))


@pytest.mark.parametrize(
    ("value", "warning"),
    [
        ("ml.m5.xlarge", []),
        ("ml.g4dn.4xlarge", []),
        (TOKEN, []),
        ("ml.new1.xlarge", ["unknownInstanceType"]),
        ("ml.g5.12xlarge", ["multiGpuInstanceType"]),
        ("ml.g6.xlarge", ["undocumentedGpuInstanceType"]),
    ],
)
def test_instance_type_warns(value: str, warning: list[str]) -> None:
    assert [found for found, _ in advise.instance_type("instance_type", value)] == warning


@pytest.mark.parametrize(("value", "warned"), [(1, True), (2, False), (NUMBER_TOKEN, False)])
def test_single_instance_warns(value: int, warned: bool) -> None:
    assert [found for found, _ in advise.instance_count("initial_instance_count", value)] == ["singleInstance"] * warned


@pytest.mark.parametrize(
    ("instance_type", "family", "warned"),
    [
        ("ml.g4dn.xlarge", "sagemaker-tritonserver", False),
        ("ml.g4dn.xlarge", "xgboost", True),
        ("ml.g4dn.xlarge", None, True),
        ("ml.m5.xlarge", "xgboost", False),
        ("ml.new1.xlarge", "xgboost", False),
        (TOKEN, "xgboost", False),
    ],
)
def test_other_images_than_triton_on_gpus_warn(instance_type: str, family: str | None, warned: bool) -> None:
    assert [found for found, _ in advise.gpu_image("instance_type", instance_type, family)] == [
        "gpuImageNotTriton"
    ] * warned


@pytest.mark.parametrize(
    ("value", "warned"), [("ml.g4dn.xlarge", True), ("ml.m5.xlarge", False), ("ml.new1.xlarge", False), (TOKEN, False)]
)
def test_volume_size_on_local_storage_warns(value: str, warned: bool) -> None:
    assert [found for found, _ in advise.volume("instance_type", value)] == ["volumeSizeOnLocalStorage"] * warned


@pytest.mark.parametrize(("multi_model", "warned"), [(True, False), (None, False), (False, True)])
def test_an_image_without_the_label_warns(multi_model: bool | None, warned: bool) -> None:
    assert [found for found, _ in advise.image_label("mxnet", multi_model)] == ["imageNotMultiModel"] * warned


def test_an_image_without_the_label_is_one_of_its_family_or_of_awss() -> None:
    ((_, of_family),) = advise.image_label("mxnet", False)
    ((_, of_none),) = advise.image_label(None, False)
    assert of_family.startswith("image is one of mxnet without")
    assert of_none.startswith("image is one of AWS without")


@pytest.mark.parametrize(
    ("strategy", "warned"), [("all_at_once", False), ("canary", True), ("linear", True), ("rolling", True)]
)
def test_policies_on_which_awss_pages_disagree_warn(strategy: str, warned: bool) -> None:
    found = list(advise.deployment(strategy))
    assert [(warning, message.partition(":")[0]) for warning, message in found] == [
        ("deploymentPolicyUndocumented", f"deployment is {strategy}")
    ] * warned


TRITON = "1.dkr.ecr.us-west-2.amazonaws.com/sagemaker-tritonserver"
NEEDED, UNKNOWN = ["inferenceAmiVersionNeeded"], ["unknownInferenceAmiVersion"]


@pytest.mark.parametrize(
    ("value", "instance_type", "image", "warning"),
    [
        (None, "ml.g5.xlarge", f"{TRITON}:24.12-py3", []),
        (None, "ml.g5.xlarge", f"{TRITON}:25.01-py3", NEEDED),
        (None, "ml.g5.xlarge", f"{TRITON}:26.01-py3", NEEDED),
        (None, "ml.g5.12xlarge", f"{TRITON}:25.01-py3", NEEDED),
        (None, "ml.g5.xlarge", f"{TRITON}:25.01-py3-cpu", []),
        (None, "ml.g5.xlarge", "1.dkr.ecr.us-west-2.amazonaws.com/djl-inference:0.36.0-lmi20.0.0-cu128", NEEDED),
        (None, "ml.g5.xlarge", "1.dkr.ecr.us-west-2.amazonaws.com/djl-inference:0.31.0-lmi13.0.0-cu124", []),
        (None, "ml.g5.xlarge", "1.dkr.ecr.us-west-2.amazonaws.com/a-cu130/b:1", []),
        ("al2-ami-sagemaker-inference-gpu-3-1", "ml.g5.xlarge", "1.dkr/tf:2.20.0-gpu-py312-cu129-amzn2023", []),
        ("al2-ami-sagemaker-inference-gpu-3-1", "ml.g5.xlarge", "1.dkr/djl-inference:0.38.0-lmi29.0.0-cu130", NEEDED),
        (None, "ml.g5.xlarge", "1.dkr.ecr.us-west-2.amazonaws.com/mine:25.01-py3", []),
        (None, "ml.m5.xlarge", f"{TRITON}:25.01-py3", []),
        (None, "ml.new1.xlarge", f"{TRITON}:25.01-py3", []),
        (None, TOKEN, f"{TRITON}:25.01-py3", []),
        ("al2-ami-sagemaker-inference-gpu-3-1", "ml.g5.xlarge", f"{TRITON}:25.01-py3", []),
        ("al2-ami-sagemaker-inference-gpu-2-1", "ml.g5.xlarge", f"{TRITON}:25.01-py3", NEEDED),
        ("al2-ami-sagemaker-inference-gpu-3-1", "ml.g5.xlarge", f"{TRITON}:25.08-py3", NEEDED),
        ("al2-ami-sagemaker-inference-gpu-3-1", "ml.g5.xlarge", f"{TRITON}:25.04-py3", []),
        ("al2023-ami-sagemaker-inference-gpu-4-1", "ml.g5.xlarge", f"{TRITON}:26.05-py3", []),
        ("al2-ami-sagemaker-inference-gpu-9", "ml.g5.xlarge", f"{TRITON}:25.01-py3", UNKNOWN),
        ("al2-ami-sagemaker-inference-gpu-9", "ml.m5.xlarge", "", UNKNOWN),
        (TOKEN, "ml.g5.xlarge", f"{TRITON}:25.01-py3", []),
    ],
)
def test_inference_ami_version_warns(value: str | None, instance_type: str, image: str, warning: list[str]) -> None:
    assert [found for found, _ in advise.inference_ami_version(value, instance_type, image)] == warning


@pytest.mark.parametrize(
    "value",
    [
        "al2-ami-sagemaker-inference-gpu-2",
        "al2-ami-sagemaker-inference-gpu-2-1",
        "al2-ami-sagemaker-inference-gpu-3-1",
        "al2-ami-sagemaker-inference-neuron-2",
        "al2023-ami-sagemaker-inference-gpu-4-1",
    ],
)
def test_inference_ami_versions_of_the_api_are_known(value: str) -> None:
    assert not list(advise.inference_ami_version(value, "ml.g5.xlarge", f"{TRITON}:24.12-py3"))


def test_the_warning_of_an_old_host_names_the_image() -> None:
    ((_, message),) = advise.inference_ami_version(None, "ml.g5.xlarge", f"{TRITON}:25.01-py3")
    assert (
        "too old a driver for sagemaker-tritonserver:25.01-py3, which has CUDA 12.8 or newer: take 'al2-ami" in message
    )


def test_what_awss_feature_matrix_leaves_out_warns_whenever_it_is_given() -> None:
    assert [found for found, _ in advise.routing_strategy("RANDOM")] == ["routingStrategyUndocumented"]
    assert [found for found, _ in advise.data_capture()] == ["dataCaptureUndocumented"]


@pytest.mark.parametrize(
    ("size", "instance_type", "warned"),
    [
        (4 * 1024**3, "ml.t2.medium", False),
        (4 * 1024**3 + 1, "ml.t2.medium", True),
        (1024**5, "ml.new9.large", False),
        (1024**5, TOKEN, False),
    ],
)
def test_a_model_larger_than_the_memory_warns(size: int, instance_type: str, warned: bool) -> None:
    found = list(advise.model_size(size, instance_type))
    assert [warning_id for warning_id, _ in found] == ["modelLargerThanMemory"] * warned


def test_a_bucket_that_is_destroyed_with_its_models_warns() -> None:
    assert [found for found, _ in advise.models_left()] == ["bucketNotEmptied"]
