"""What an endpoint's instances write to S3: captured requests, and core dumps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker

from cdk_multi_model_endpoint._models.bucket import key_problems
from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules.kinds import checked_fields
from cdk_multi_model_endpoint._rules.places import Place
from multi_model_endpoint.artifacts.findings import Problem


@checked_fields
@dataclass(frozen=True, kw_only=True)
class DataCapture:
    """Write a share of the requests and answers to S3.

    AWS's feature matrix does not list data capture for multi-model endpoints, and Model Monitor is for endpoints with a
    single model only; a warning says so.

    Args:
        bucket: Where to. One of another account gets a warning: its policy must allow the access.
        prefix: The folder in it.
        sampling_percentage: How much of the traffic, 0 to 100.
        capture: ``Input``, ``Output`` or both.
        csv_content_types: Content types that are text with commas, at most 10; others are written in Base64.
        json_content_types: Content types that are JSON, at most 10.
        encryption_key: A key for what is written. Left out, the bucket's own.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
    """

    bucket: s3.IBucket
    prefix: str = "data-capture/"
    sampling_percentage: int = 100
    capture: Sequence[Literal["Input", "Output"]] = ("Input", "Output")
    csv_content_types: Sequence[str] = ()
    json_content_types: Sequence[str] = ()
    encryption_key: kms.IKey | None = None

    def _problems(self, place: Place) -> Iterator[Problem]:
        """What SageMaker would refuse."""
        for key in (self.encryption_key, self.bucket.encryption_key):
            yield from key_problems("data_capture bucket", place, key)
        yield from validate.within("data_capture sampling_percentage", self.sampling_percentage, 0, 100, "percent")
        yield from validate.choices("data_capture capture", self.capture, ("Input", "Output"))
        yield from validate.content_types("data_capture csv_content_types", self.csv_content_types)
        yield from validate.content_types("data_capture json_content_types", self.json_content_types)
        yield from validate.destination("data_capture prefix", _url(self.bucket, self.prefix))

    def _render(self) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty:
        """The capture as the endpoint configuration has it."""
        header = None
        if self.csv_content_types or self.json_content_types:
            header = sagemaker.CfnEndpointConfig.CaptureContentTypeHeaderProperty(
                csv_content_types=[*self.csv_content_types] or None,
                json_content_types=[*self.json_content_types] or None,
            )
        return sagemaker.CfnEndpointConfig.DataCaptureConfigProperty(
            enable_capture=True,
            initial_sampling_percentage=self.sampling_percentage,
            destination_s3_uri=_url(self.bucket, self.prefix),
            capture_options=[
                sagemaker.CfnEndpointConfig.CaptureOptionProperty(capture_mode=mode) for mode in self.capture
            ],
            capture_content_type_header=header,
            kms_key_id=None if self.encryption_key is None else self.encryption_key.key_arn,
        )


@checked_fields
@dataclass(frozen=True, kw_only=True)
class CoreDump:
    """Write a core dump to S3 when a container's process crashes.

    Args:
        bucket: Where to, as for ``DataCapture``.
        prefix: The folder in it.
        encryption_key: A key for what is written. Left out, the bucket's own.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantCoreDumpConfig.html
    """

    bucket: s3.IBucket
    prefix: str = "core-dumps/"
    encryption_key: kms.IKey | None = None

    def _problems(self, place: Place) -> Iterator[Problem]:
        """What SageMaker would refuse."""
        for key in (self.encryption_key, self.bucket.encryption_key):
            yield from key_problems("core_dump bucket", place, key)
        yield from validate.destination("core_dump prefix", _url(self.bucket, self.prefix))

    def _render(self) -> sagemaker.CfnEndpointConfig.CoreDumpConfigProperty:
        """The dump as a variant has it."""
        return sagemaker.CfnEndpointConfig.CoreDumpConfigProperty(
            destination_s3_uri=_url(self.bucket, self.prefix),
            kms_key_id=None if self.encryption_key is None else self.encryption_key.key_arn,
        )


def _url(bucket: s3.IBucket, prefix: str) -> str:
    return f"s3://{bucket.bucket_name}/{prefix}"
