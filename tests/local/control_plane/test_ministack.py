"""The private parts of MiniStack that the gateway relies on: this fails when another version has moved them."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import pytest

from mme_local.aws.scope import Scope
from mme_local.hosting.plane import NoServers
from mme_local.ministack.credentials import Credentials
from mme_local.ministack.gateway import Gateway
from mme_local.sagemaker.cloudformation import TYPES

CREDENTIALS = Credentials.random()
MOVED = "MiniStack has changed: go through mme_local/ministack/gateway.py before raising the pin"


@pytest.fixture(scope="module")
def gateway() -> Gateway:
    return Gateway(Echo(), CREDENTIALS, lambda: None)


class Echo(NoServers):
    """Answers with the body that it got."""

    async def invoke(
        self, endpoint_name: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        return 200, {"x-seen": headers["x-amzn-sagemaker-target-model"]}, body


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("ministack") == "1.5.33", MOVED


def test_our_types_are_where_the_stack_engine_looks(gateway: Gateway) -> None:
    provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    stacks: Any = importlib.import_module("ministack.services.cloudformation.stacks")
    for table in ("_RESOURCE_HANDLERS", "_REPLACING_PROPERTIES", "_CUSTOM_NAME_REPLACEMENT", "_STACK_TAG_PROPERTY"):
        assert "AWS::DynamoDB::Table" in getattr(provisioners, table), MOVED
        for kind in TYPES:
            assert kind.name in getattr(provisioners, table), MOVED
    assert stacks._replacing_change("AWS::SageMaker::EndpointConfig", {"KmsKeyId": "a"}, {"KmsKeyId": "b"}), MOVED
    assert not stacks._replacing_change("AWS::SageMaker::Endpoint", {"EndpointConfigName": "a"}, {}), MOVED
    assert not stacks._replacing_change("AWS::SageMaker::Model", {"Tags": []}, {}), MOVED
    assert stacks._runs_on_worker_thread("AWS::SageMaker::Endpoint"), MOVED
    assert stacks._runs_on_worker_thread("Custom::AWS"), MOVED
    assert not stacks._runs_on_worker_thread("AWS::S3::Bucket"), MOVED


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        ("_provision_resource", ["resource_type", "logical_id", "props", "stack_name"]),
        ("_delete_resource", ["resource_type", "physical_id", "props", "stack_name", "logical_id"]),
        (
            "_update_resource",
            ["resource_type", "physical_id", "old_props", "new_props", "stack_name", "logical_id", "old_attrs"],
        ),
    ],
)
def test_handlers_are_called_as_before(function: str, parameters: list[str]) -> None:
    provisioners = importlib.import_module("ministack.services.cloudformation.provisioners")
    assert list(inspect.signature(getattr(provisioners, function)).parameters) == parameters, MOVED


async def test_the_service_is_in_the_table_of_services(gateway: Gateway) -> None:
    app: Any = importlib.import_module("ministack.app")
    router: Any = importlib.import_module("ministack.core.router")
    target = {"x-amz-target": "SageMaker.CreateModel"}
    assert router.detect_service("POST", "/", target, {}) == "sagemaker", MOVED
    assert router._KNOWN_AWS_SERVICE_NAMES is None, "the slow look-up in all service models was not avoided"
    answer = await app.SERVICE_HANDLERS["sagemaker"]("POST", "/", {"x-amz-target": "SageMaker.Nope"}, b"", {})
    assert answer[0] == 400, MOVED
    assert b"UnknownOperationException" in answer[2], MOVED


async def test_invocations_are_passed_on_byte_by_byte(gateway: Gateway) -> None:
    endpoint = "echo"
    body = bytes(range(256)) * 1000
    scope = Scope("000000000000", "us-east-1")
    call = gateway.sagemaker.call
    call(scope, "CreateModel", {"ModelName": "M", "PrimaryContainer": {"Image": "i"}})
    variant = {"VariantName": "V", "ModelName": "M", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    call(scope, "CreateEndpointConfig", {"EndpointConfigName": "C", "ProductionVariants": [variant]})
    call(scope, "CreateEndpoint", {"EndpointName": endpoint, "EndpointConfigName": "C"})
    operation = gateway.sagemaker.region(scope).endpoints.get(endpoint).operation
    assert operation is not None
    await operation
    parts = [{"type": "http.request", "body": body[i::2], "more_body": i == 0} for i in (0, 1)]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    headers = [
        (b"authorization", f"AWS4-HMAC-SHA256 Credential={CREDENTIALS.access_key}/day/region".encode()),
        (b"x-amzn-sagemaker-target-model", "grün.tar.gz".encode("latin-1")),
    ]
    request = {"type": "http", "method": "POST", "path": f"/endpoints/{endpoint}/invocations", "headers": headers}
    await gateway(request, receive, send)
    start, answer = sent
    assert start["status"] == 200
    assert dict(start["headers"])[b"x-seen"] == "grün.tar.gz".encode("latin-1")
    assert answer["body"] == body[0::2] + body[1::2]


def test_the_parts_of_iam_that_are_used_are_where_they_were() -> None:
    app: Any = importlib.import_module("ministack.app")
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    responses: Any = importlib.import_module("ministack.core.responses")
    expected = {
        evaluator.enforce: ["access_key_id", "iam_action", "service", "region", "resource_arn", "service_context"],
        evaluator.check_credentials: ["access_key_id", "service"],
        evaluator.evaluate_trust_policy: ["trust_doc", "caller_arn", "ctx"],
        evaluator.pin_request_origin: ["source_ip", "secure_transport"],
        evaluator._resolve_condition_key: ["key", "ctx"],
        evaluator._service_principal_matches: ["principal", "service"],
        actions.identity_denial_message: ["action", "principal_arn", "resource", "explicit_deny"],
        responses.set_request_account_id: ["access_key_id"],
        importlib.import_module("ministack.services.sts").register_session: ["access_key", "session"],
        importlib.import_module("ministack.core.router").extract_access_key_id: ["headers", "query_params"],
    }
    for function, parameters in expected.items():
        assert list(inspect.signature(function).parameters) == parameters, MOVED
    # a service that MiniStack knew would be evaluated twice, once without resources
    assert "sagemaker" not in actions.SERVICE_TO_IAM_NAMESPACE, MOVED
    assert isinstance(app.AUTH, bool), MOVED
    assert "pin_request_origin" in vars(app), MOVED
    assert "_is_root_key(claimed)" in inspect.getsource(evaluator.pin_signed_request), MOVED
    source = inspect.getsource(evaluator._first_match)
    assert "_conditions_met(" in source, MOVED


def test_alarms_look_at_their_own_dimensions_and_get_well(gateway: Gateway) -> None:
    cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
    for config, value in (("old", 5), ("new", 0)):
        key = ("Guard", "Errors", f"EndpointConfigName={config}|EndpointName=e")
        cloudwatch._metric_bucket(key).append({"Timestamp": time.time(), "Value": float(value), "Unit": "None"})
    history = ["alarm_name", "old_state", "new_state", "reason"]
    actions = ["alarm", "old_state", "new_state", "reason"]
    states, alarms = {}, []
    for config in ("old", "new"):
        alarm: dict[str, Any] = {
            "AlarmName": config,
            "Namespace": "Guard",
            "MetricName": "Errors",
            "Dimensions": [{"Name": "EndpointName", "Value": "e"}, {"Name": "EndpointConfigName", "Value": config}],
            "Statistic": "Sum",
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "StateValue": "INSUFFICIENT_DATA",
            "AlarmArn": f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{config}",
        }
        cloudwatch._evaluate_alarm(alarm)
        states[config] = alarm["StateValue"]
        alarms.append(alarm)
    assert states == {"old": "ALARM", "new": "OK"}, MOVED
    (point,) = cloudwatch._metrics[("Guard", "Errors", "EndpointConfigName=old|EndpointName=e")]
    point["Timestamp"] -= 61
    cloudwatch._evaluate_alarm(alarms[0])
    assert alarms[0]["StateValue"] == "ALARM", "missing data were not to change anything"
    alarms[0]["TreatMissingData"] = "notBreaching"
    cloudwatch._evaluate_alarm(alarms[0])
    assert alarms[0]["StateValue"] == "OK"
    assert list(inspect.signature(cloudwatch._record_history).parameters)[:4] == history, MOVED
    assert list(inspect.signature(cloudwatch._dispatch_alarm_actions).parameters)[:4] == actions, MOVED
    assert "_evaluate_all_alarms()" in inspect.getsource(cloudwatch._put_metric_data), MOVED


def test_alarms_are_made_and_deleted_as_before(gateway: Gateway) -> None:
    cloudwatch: Any = importlib.import_module("ministack.services.cloudwatch")
    responses: Any = importlib.import_module("ministack.core.responses")
    assert list(inspect.signature(responses.request_scope).parameters) == ["account_id", "region"], MOVED
    for call in (cloudwatch._put_metric_alarm, cloudwatch._delete_alarms):
        assert list(inspect.signature(call).parameters) == ["params", "cbor_data", "is_cbor", "is_json"], MOVED
    assert "AlarmActions" in inspect.getsource(cloudwatch._put_metric_alarm), MOVED


def test_log_events_are_kept_as_before(gateway: Gateway) -> None:
    logs: Any = importlib.import_module("ministack.services.cloudwatch_logs")
    assert list(inspect.signature(logs._put_log_events).parameters) == ["request"], MOVED
    assert '"PutLogEvents": _put_log_events,' in inspect.getsource(logs.handle_request), MOVED
    names = {"logGroupName": "/aws/sagemaker/Endpoints/e", "logStreamName": "s"}
    logs._create_log_group(names)
    logs._create_log_stream(names)
    logs._put_log_events({**names, "logEvents": [{"timestamp": 1, "message": "m"}]})
    stream = logs._log_groups[names["logGroupName"]]["streams"]["s"]
    assert stream["lastEventTimestamp"] == 1, MOVED
    (event,) = stream["events"]
    assert event["message"] == "m", MOVED
    assert event["eventId"] in logs._log_records, MOVED
    logs._delete_log_group(names)
    provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    assert provisioners._RESOURCE_HANDLERS["AWS::Logs::LogGroup"]["update_with_logical_id"], MOVED
    parameters = ["physical_id", "old_props", "new_props", "stack_name", "logical_id"]
    assert list(inspect.signature(provisioners._cwlogs_update).parameters) == parameters, MOVED
    assert "max_len" in inspect.signature(provisioners._physical_name).parameters, MOVED


def test_the_parts_of_s3_that_are_mended_are_where_they_were(gateway: Gateway) -> None:
    provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    s3: Any = importlib.import_module("ministack.services.s3")
    for function in ("_put_object", "_create_multipart_upload", "_copy_object"):
        assert "_resolve_sse_write_headers(" in inspect.getsource(getattr(s3, function)), MOVED
    assert s3._resolve_sse_write_headers({"x-amz-server-side-encryption": "aws:kms"}, "b")[1] is None, MOVED
    handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    assert "delete_with_logical_id" not in handlers, MOVED
    assert "update_with_logical_id" not in handlers, MOVED
    assert list(inspect.signature(provisioners._s3_create).parameters) == ["logical_id", "props", "stack_name"], MOVED
    parameters = ["physical_id", "old_props", "new_props", "stack_name"]
    assert list(inspect.signature(provisioners._s3_update).parameters) == parameters, MOVED
    assert list(inspect.signature(s3._bucket_has_versions).parameters) == ["name"], MOVED
    assert "_bucket_tags.get(name)" in inspect.getsource(s3._get_bucket_tagging), MOVED


def test_the_types_of_networks_are_still_missing_and_their_calls_are_there(gateway: Gateway) -> None:
    provisioners: Any = importlib.import_module("ministack.services.cloudformation.provisioners")
    ec2: Any = importlib.import_module("ministack.services.ec2")
    for name in ("EIP", "NatGateway", "SecurityGroupIngress", "SecurityGroupEgress"):
        name = f"AWS::EC2::{name}"
        assert f'"{name}"' not in inspect.getsource(provisioners), "MiniStack has it now: leave it to MiniStack"
        assert name in provisioners._RESOURCE_HANDLERS, MOVED
    for call in ("_allocate_address", "_release_address", "_create_nat_gateway", "_delete_nat_gateway"):
        assert len(inspect.signature(getattr(ec2, call)).parameters) == 1, MOVED
    expected = ["physical_id", "props", "old_props"]
    assert list(inspect.signature(provisioners._ec2_apply_tags).parameters) == expected, MOVED
    assert list(inspect.signature(provisioners._ec2_sg_permissions).parameters) == ["rules"], MOVED
    expected = ["store", "old_perms", "new_perms"]
    assert list(inspect.signature(provisioners._ec2_sg_reconcile).parameters) == expected, MOVED


def test_the_tagging_api_asks_its_tables(gateway: Gateway) -> None:
    tagging: Any = importlib.import_module("ministack.services.tagging")
    for table in ("_COLLECTORS", "_WRITERS", "_REMOVERS"):
        assert {"s3", "sagemaker"} <= set(getattr(tagging, table)), MOVED
    assert issubclass(tagging._ResourceNotFound, Exception), MOVED


def test_the_local_endpoint_never_imports_the_cdk() -> None:
    program = "import sys, mme_local.cli; sys.exit(any(name.startswith(('aws_cdk', 'jsii')) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
