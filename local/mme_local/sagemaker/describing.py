"""Endpoints as DescribeEndpoint and ListEndpoints show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mme_local.sagemaker.records import Endpoint, PendingDeployment, Variant


def describe(endpoint: Endpoint) -> dict[str, Any]:
    """DescribeEndpoint's answer."""
    answer = {
        **summary(endpoint),
        "EndpointConfigName": endpoint.config_name,
        "FailureReason": endpoint.failure_reason,
        "LastDeploymentConfig": endpoint.deployment_config,
        "DataCaptureConfig": _capture(endpoint.capture),
    }
    if endpoint.variants:
        answer["ProductionVariants"] = [_variant(variant, endpoint.created) for variant in endpoint.variants]
    if endpoint.pending is not None:
        answer["PendingDeploymentSummary"] = _pending(endpoint.pending)
    return {name: value for name, value in answer.items() if value is not None}


def summary(endpoint: Endpoint) -> dict[str, Any]:
    """An item of ListEndpoints' answer."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }


def _pending(pending: PendingDeployment) -> dict[str, Any]:
    message = f"{pending.share:.0%} of the traffic reaches the new fleet"
    status = {"Status": pending.stage, "StatusMessage": message, "StartTime": pending.stage_started}
    return {
        "EndpointConfigName": pending.config_name,
        "StartTime": pending.started,
        "ProductionVariants": [
            {
                **_variant(variant, pending.started),
                # none of it is in service yet, as SageMaker counts
                "CurrentWeight": 0.0 if pending.stage == "Creating" else variant.weight,
                "CurrentInstanceCount": 0 if pending.stage == "Creating" else variant.instance_count,
                "InstanceType": pending.instance_types.get(variant.name),
                "VariantStatus": [status],
            }
            for variant in pending.variants
        ],
    }


def _variant(variant: Variant, resolved: float) -> dict[str, Any]:
    return {
        "VariantName": variant.name,
        "DeployedImages": [
            {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": resolved} for image in variant.images
        ],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
        "CurrentInstanceCount": variant.instance_count,
        "DesiredInstanceCount": variant.desired_instance_count,
    }


def _capture(capture: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if capture is None:
        return None
    return {
        "EnableCapture": capture.get("EnableCapture", False),
        # nothing is captured locally, and the answer says so
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }
