"""Each warning alone: when it is given, and that it leaves tokens to CloudFormation."""

from __future__ import annotations

import aws_cdk as cdk
import pytest

from cdk_multi_model_endpoint import _warnings as advise

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
    assert bool(list(advise.instance_count("initial_instance_count", value))) is warned


@pytest.mark.parametrize(
    ("instance_type", "family", "warned"),
    [
        ("ml.g4dn.xlarge", "sagemaker-tritonserver", False),
        ("ml.g4dn.xlarge", "xgboost", True),
        ("ml.g4dn.xlarge", None, True),
        ("ml.m5.xlarge", "xgboost", False),
        (TOKEN, "xgboost", False),
    ],
)
def test_other_images_than_triton_on_gpus_warn(instance_type: str, family: str | None, warned: bool) -> None:
    assert bool(list(advise.gpu_image("instance_type", instance_type, family))) is warned


@pytest.mark.parametrize(("value", "warned"), [("ml.g4dn.xlarge", True), ("ml.m5.xlarge", False), (TOKEN, False)])
def test_volume_size_on_local_storage_warns(value: str, warned: bool) -> None:
    assert bool(list(advise.volume("instance_type", value))) is warned


@pytest.mark.parametrize(("multi_model", "warned"), [(True, False), (None, False), (False, True)])
def test_an_image_without_the_label_warns(multi_model: bool | None, warned: bool) -> None:
    assert bool(list(advise.image_label("mxnet", multi_model))) is warned
