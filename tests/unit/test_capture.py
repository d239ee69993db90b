"""Data capture, core dumps, and the rest of what an endpoint configuration can say."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk.assertions import Annotations, Match, Template

from cdk_multi_model_endpoint import CoreDump, DataCapture, InferenceImage, InvalidEndpointError, RoutingStrategy

from .conftest import MakeEndpoint, resource


@pytest.fixture
def bucket(stack: cdk.Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, "Imported", "captured")


def config(stack: cdk.Stack) -> dict[str, Any]:
    return resource(Template.from_stack(stack), "AWS::SageMaker::EndpointConfig")


def variant(stack: cdk.Stack) -> dict[str, Any]:
    (only,) = config(stack)["ProductionVariants"]
    properties: dict[str, Any] = only
    return properties


def warned(stack: cdk.Stack, warning_id: str) -> int:
    return len(Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp(warning_id)))


class TestDataCapture:
    def test_defaults(self, stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> None:
        make_endpoint(data_capture=DataCapture(bucket=bucket))
        assert config(stack)["DataCaptureConfig"] == {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://captured/data-capture/",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }
        assert "captured/data-capture/*" in str(Template.from_stack(stack).find_resources("AWS::IAM::Policy"))
        assert warned(stack, "dataCaptureUndocumented") == 1

    def test_overrides(self, stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> None:
        key = kms.Key(stack, "Key")
        make_endpoint(
            data_capture=DataCapture(
                bucket=bucket,
                prefix="here/",
                sampling_percentage=0,
                capture=["Output"],
                csv_content_types=["text/csv"],
                json_content_types=["application/json"],
                encryption_key=key,
            )
        )
        assert config(stack)["DataCaptureConfig"] == {
            "EnableCapture": True,
            "InitialSamplingPercentage": 0,
            "DestinationS3Uri": "s3://captured/here/",
            "CaptureOptions": [{"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {
                "CsvContentTypes": ["text/csv"],
                "JsonContentTypes": ["application/json"],
            },
            "KmsKeyId": stack.resolve(key.key_arn),
        }
        assert "kms:GenerateDataKey*" in str(Template.from_stack(stack).find_resources("AWS::IAM::Policy"))

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ({"sampling_percentage": 101}, "sampling_percentage must be 0 to 100 percent, got 101"),
            ({"capture": []}, "capture must be one or more of Input, Output, got none"),
            ({"csv_content_types": ["csv"]}, "csv_content_types must be content types"),
            ({"json_content_types": ["a/b"] * 11}, "json_content_types must be at most 10, got 11"),
            ({"prefix": "a" * 512}, "at most 512 characters, got 526"),
        ],
    )
    def test_refuses(
        self, make_endpoint: MakeEndpoint, bucket: s3.IBucket, arguments: dict[str, Any], problem: str
    ) -> None:
        with pytest.raises(InvalidEndpointError, match=problem):
            make_endpoint(data_capture=DataCapture(bucket=bucket, **arguments))

    def test_leaves_tokens_to_cloudformation(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket
    ) -> None:
        number: Any = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
        make_endpoint(data_capture=DataCapture(bucket=bucket, sampling_percentage=number))
        assert config(stack)["DataCaptureConfig"]["InitialSamplingPercentage"] == {"Ref": "Number"}


def test_core_dump(stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> None:
    key = kms.Key(stack, "Key")
    endpoint = make_endpoint(core_dump=CoreDump(bucket=bucket, encryption_key=key))
    endpoint.add_variant(
        "Green", instance_type="ml.m5.large", initial_variant_weight=1, core_dump=CoreDump(bucket=bucket, prefix="b/")
    )
    first, second = config(stack)["ProductionVariants"]
    assert first["CoreDumpConfig"] == {
        "DestinationS3Uri": "s3://captured/core-dumps/",
        "KmsKeyId": stack.resolve(key.key_arn),
    }
    assert second["CoreDumpConfig"] == {"DestinationS3Uri": "s3://captured/b/"}
    policies = str(Template.from_stack(stack).find_resources("AWS::IAM::Policy"))
    assert "captured/core-dumps/*" in policies
    assert "captured/b/*" in policies


def test_core_dump_refuses_too_long_a_url(make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> None:
    with pytest.raises(InvalidEndpointError, match="core_dump prefix must make an S3 URL of at most 512"):
        make_endpoint(core_dump=CoreDump(bucket=bucket, prefix="a" * 512))


def test_ssm_access(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(enable_ssm_access=True)
    assert variant(stack)["EnableSSMAccess"] is True


def test_routing_strategy(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(routing_strategy=RoutingStrategy.LEAST_OUTSTANDING_REQUESTS)
    assert variant(stack)["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    assert warned(stack, "routingStrategyUndocumented") == 1


def test_there_is_nothing_of_it_by_default(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint()
    assert set(config(stack)) == {"ProductionVariants"}
    assert {"EnableSSMAccess", "CoreDumpConfig", "RoutingConfig", "InferenceAmiVersion"}.isdisjoint(variant(stack))


def test_clarify_explainer(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    cfn = sagemaker.CfnEndpointConfig
    make_endpoint(
        clarify_explainer=cfn.ClarifyExplainerConfigProperty(
            enable_explanations="`true`",
            shap_config=cfn.ClarifyShapConfigProperty(
                shap_baseline_config=cfn.ClarifyShapBaselineConfigProperty(mime_type="text/csv", shap_baseline="1,2,3")
            ),
        )
    )
    assert config(stack)["ExplainerConfig"] == {
        "ClarifyExplainerConfig": {
            "EnableExplanations": "`true`",
            "ShapConfig": {"ShapBaselineConfig": {"MimeType": "text/csv", "ShapBaseline": "1,2,3"}},
        }
    }


class TestInferenceAmiVersion:
    GPU = {"instance_type": "ml.g4dn.xlarge"}  # noqa: RUF012

    def test_is_the_variants(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        version = "al2023-ami-sagemaker-inference-gpu-4-1"
        make_endpoint(image=InferenceImage.triton("25.09"), inference_ami_version=version, **self.GPU)
        assert variant(stack)["InferenceAmiVersion"] == version
        assert warned(stack, "nferenceAmiVersion") == 0

    @pytest.mark.parametrize(
        ("image", "instance_type", "expected"),
        [
            (InferenceImage.triton("25.09"), "ml.g4dn.xlarge", 1),
            (InferenceImage.triton("24.09"), "ml.g4dn.xlarge", 0),
            (InferenceImage.triton("25.09", cpu=True), "ml.m5.xlarge", 0),
        ],
    )
    def test_is_asked_for_where_cuda_is_recent(
        self, stack: cdk.Stack, make_endpoint: MakeEndpoint, image: InferenceImage, instance_type: str, expected: int
    ) -> None:
        make_endpoint(image=image, instance_type=instance_type)
        assert warned(stack, "inferenceAmiVersionNeeded") == expected

    def test_warns_of_one_that_it_does_not_know(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        make_endpoint(image=InferenceImage.triton("24.09"), inference_ami_version="al9", **self.GPU)
        assert warned(stack, "unknownInferenceAmiVersion") == 1

    def test_leaves_a_token_to_cloudformation(self, stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
        version = cdk.CfnParameter(stack, "Ami").value_as_string
        make_endpoint(image=InferenceImage.triton("25.09"), inference_ami_version=version, **self.GPU)
        assert variant(stack)["InferenceAmiVersion"] == {"Ref": "Ami"}
        assert warned(stack, "nferenceAmiVersion") == 0


def test_tags_reach_all_three_resources(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    cdk.Tags.of(make_endpoint()).add("team", "scoring")
    for kind in ("Model", "EndpointConfig", "Endpoint"):
        assert resource(Template.from_stack(stack), f"AWS::SageMaker::{kind}")["Tags"] == [
            {"Key": "team", "Value": "scoring"}
        ]
