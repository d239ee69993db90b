from __future__ import annotations

import contextlib
import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session
from botocore.validate import ParamValidator


def test_an_endpoint_comes_into_service(sagemaker: Any, make: Any, settled: Any, shapes: Any) -> None:
    config = make.config()
    name = make.endpoint(config)
    answer = settled(name)
    assert answer["EndpointStatus"] == "InService"
    assert answer["EndpointConfigName"] == config
    assert answer["EndpointArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"
    assert "FailureReason" not in answer
    assert "PendingDeploymentSummary" not in answer
    (variant,) = answer["ProductionVariants"]
    assert variant["DeployedImages"][0]["SpecifiedImage"] == shapes.image
    del variant["DeployedImages"]
    assert variant == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 2,
        "DesiredInstanceCount": 2,
    }
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name)


def test_an_update_switches_to_the_new_configuration(sagemaker: Any, make: Any, settled: Any, shapes: Any) -> None:
    name = make.endpoint()
    settled(name)
    config = make.config(shapes.variant(make.model(), InitialInstanceCount=5))
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    answer = settled(name)
    assert answer["EndpointConfigName"] == config
    assert answer["ProductionVariants"][0]["CurrentInstanceCount"] == 5


def test_weights_and_counts_change_in_place(sagemaker: Any, make: Any, settled: Any, shapes: Any) -> None:
    model = make.model()
    name = make.endpoint(make.config(shapes.variant(model), shapes.variant(model, VariantName="Other")))
    settled(name)
    changes = [{"VariantName": "Other", "DesiredWeight": 0.0, "DesiredInstanceCount": 3}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=changes)
    first, other = settled(name)["ProductionVariants"]
    assert (first["CurrentWeight"], first["CurrentInstanceCount"]) == (1, 2)
    assert (other["CurrentWeight"], other["CurrentInstanceCount"]) == (0, 3)


def test_an_unknown_variant_cannot_be_weighted(sagemaker: Any, make: Any, settled: Any) -> None:
    name = make.endpoint()
    settled(name)
    with pytest.raises(ClientError, match=r'The variant name.* "Nope" is/are not present'):
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "Nope", "DesiredWeight": 1}]
        )


def test_an_update_can_keep_what_was_scaled(sagemaker: Any, make: Any, settled: Any, shapes: Any) -> None:
    name = make.endpoint()
    settled(name)
    scaled = [{"VariantName": "AllTraffic", "DesiredWeight": 7.0, "DesiredInstanceCount": 9}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=scaled)
    settled(name)
    sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=make.config(shapes.variant(make.model(), InitialVariantWeight=3.0)),
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    (variant,) = settled(name)["ProductionVariants"]
    assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (9, 3)


def test_what_cannot_be_hosted_fails_with_a_reason_and_can_only_be_deleted(
    sagemaker: Any, make: Any, settled: Any, eventually: Any
) -> None:
    name = make.endpoint(make.unhostable_config())
    answer = settled(name)
    assert answer["EndpointStatus"] == "Failed"
    assert answer["FailureReason"] == "mme-local does not host variants with ServerlessConfig: AllTraffic"
    with pytest.raises(ClientError, match="it can only be deleted"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=make.config())
    sagemaker.delete_endpoint(EndpointName=name)
    eventually(lambda: name not in _names(sagemaker))


def test_a_failed_update_leaves_the_old_configuration(sagemaker: Any, make: Any, settled: Any) -> None:
    config = make.config()
    name = make.endpoint(config)
    settled(name)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=make.unhostable_config())
    answer = settled(name)
    assert answer["EndpointStatus"] == "InService"
    assert answer["EndpointConfigName"] == config
    assert "ServerlessConfig" in answer["FailureReason"]
    assert answer["ProductionVariants"][0]["CurrentInstanceCount"] == 2


def test_a_configuration_and_a_model_in_use_can_be_deleted_and_the_endpoint_goes_on(
    sagemaker: Any, make: Any, settled: Any, shapes: Any
) -> None:
    model = make.model()
    config = make.config(shapes.variant(model))
    name = make.endpoint(config)
    settled(name)
    sagemaker.delete_endpoint_config(EndpointConfigName=config)
    sagemaker.delete_model(ModelName=model)
    changes = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 4}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=changes)
    assert settled(name)["ProductionVariants"][0]["CurrentInstanceCount"] == 4


def test_an_endpoint_name_is_used_once_over_all_regions(control_plane: Any, make: Any, shapes: Any) -> None:
    name = make.endpoint()
    other = control_plane.client("sagemaker", region="us-west-2")
    other.create_model(ModelName=f"{name}m", PrimaryContainer=shapes.container())
    other.create_endpoint_config(EndpointConfigName=f"{name}c", ProductionVariants=[shapes.variant(f"{name}m")])
    with pytest.raises(ClientError, match="is in use in us-east-1 of 000000000000"):
        other.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}c")


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 0}
                },
            },
            "Traffic routing of type CANARY must specify a CanarySize",
        ),
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
                },
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    "WaitIntervalInSeconds": 0,
                },
            },
            "Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy",
        ),
    ],
)
def test_refuses_a_deployment_policy_that_says_two_things(make: Any, policy: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text):
        make.endpoint(DeploymentConfig=policy)


def test_guardrails_need_the_same_variant_names(sagemaker: Any, make: Any, settled: Any, shapes: Any) -> None:
    name = make.endpoint()
    settled(name)
    policy = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    }
    renamed = make.config(shapes.variant(make.model(), VariantName="Renamed"))
    with pytest.raises(ClientError, match=r"needs the same variant names .* got AllTraffic and Renamed"):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=renamed, DeploymentConfig=policy)
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=make.config(), DeploymentConfig=policy)
    assert settled(name)["LastDeploymentConfig"] == policy


def test_lists_endpoints_by_status(sagemaker: Any, make: Any, settled: Any) -> None:
    failed = make.endpoint(make.unhostable_config())
    settled(failed)
    running = make.endpoint()
    settled(running)
    listed = [e["EndpointName"] for e in sagemaker.list_endpoints(StatusEquals="Failed")["Endpoints"]]
    assert failed in listed
    assert running not in listed


def test_an_invocation_without_servers_says_so(control_plane: Any, make: Any, settled: Any) -> None:
    name = make.endpoint()
    settled(name)
    runtime = control_plane.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="this mme-local runs the control plane only") as refused:
        runtime.invoke_endpoint(EndpointName=name, TargetModel="a.tar.gz", Body=b"")
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_an_endpoint_that_is_not_there_cannot_be_invoked(control_plane: Any, make: Any, settled: Any) -> None:
    name = make.endpoint()
    settled(name)
    runtime = control_plane.client("sagemaker-runtime")
    for absent in ("nobody", name.upper()):
        with pytest.raises(ClientError, match=f"Endpoint {absent} of account 000000000000 not found") as refused:
            runtime.invoke_endpoint(EndpointName=absent, TargetModel="a.tar.gz", Body=b"")
        assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_streamed_and_asynchronous_invocations_are_refused(control_plane: Any, make: Any, settled: Any) -> None:
    name = make.endpoint(make.config())
    settled(name)
    runtime = control_plane.client("sagemaker-runtime")
    with pytest.raises(ClientError, match=f"ValidationError.*Endpoint {name} has no AsyncInferenceConfig"):
        runtime.invoke_endpoint_async(EndpointName=name, InputLocation="s3://bucket/key")
    with pytest.raises(ClientError, match=r"ValidationError.*no multi-model endpoint takes it"):
        runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=b"x")
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint nobody .* not found"):
        runtime.invoke_endpoint_with_response_stream(EndpointName="nobody", Body=b"x")


def test_every_answer_has_the_shape_of_the_service_model(control_plane: Any, make: Any, settled: Any) -> None:
    name = make.endpoint(
        make.config(
            DataCaptureConfig={
                "InitialSamplingPercentage": 10,
                "DestinationS3Uri": "s3://b/p",
                "CaptureOptions": [{"CaptureMode": "Input"}],
            }
        )
    )
    described = settled(name)
    config = described["EndpointConfigName"]
    model = make.client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]["ModelName"]
    requests = {
        "DescribeEndpoint": {"EndpointName": name},
        "DescribeEndpointConfig": {"EndpointConfigName": config},
        "DescribeModel": {"ModelName": model},
        "ListEndpoints": {},
        "ListEndpointConfigs": {},
        "ListModels": {},
        "ListTags": {"ResourceArn": described["EndpointArn"]},
    }
    service = get_session().get_service_model("sagemaker")
    for operation, request in requests.items():
        answer = _raw(control_plane, operation, request)
        shape = service.operation_model(operation).output_shape
        assert shape is not None
        report = ParamValidator().validate(answer, shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"


def _raw(endpoint: Any, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    headers = {
        "X-Amz-Target": f"SageMaker.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 "
        f"Credential={endpoint.environment['AWS_ACCESS_KEY_ID']}/20260101/us-east-1/sagemaker/aws4_request",
    }
    call = urllib.request.Request(endpoint.url, json.dumps(request).encode(), headers)
    with contextlib.closing(urllib.request.urlopen(call)) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def _names(sagemaker: Any) -> list[str]:
    pages = sagemaker.get_paginator("list_endpoints").paginate()
    return [endpoint["EndpointName"] for page in pages for endpoint in page["Endpoints"]]
