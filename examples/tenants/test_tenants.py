"""The app's template, and who may call which model."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import boto3
import joblib  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ClientError, WaiterError
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint

TENANTS = {"tenant_a": 21, "tenant_b": 42}
"""Each with the answer of its model."""

Published = dict[str, str]


@pytest.fixture(scope="module")
def published(aws: LocalEndpoint, outputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The target model of each tenant, published without a deployment."""
    targets = {}
    for tenant, answer in TENANTS.items():
        folder = tmp_path_factory.mktemp(tenant) / "line"
        folder.mkdir()
        model = LinearRegression(fit_intercept=False).fit([[1, 0], [0, 1]], [answer / 21, answer / 2.1])
        joblib.dump(model, folder / "model.joblib")
        push = ["mme", "push", str(folder), outputs["ModelStoreUrl"], "--folder", tenant]
        environment = {**os.environ, **aws.environment}
        said = subprocess.run(push, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        targets[tenant] = said.stdout.strip()
    return targets


def runtime_of(aws: LocalEndpoint, role: str, **tags: str) -> Any:
    """A client with the credentials of a session as a role."""
    session = aws.client("sts").assume_role(
        RoleArn=role, RoleSessionName="test", Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )["Credentials"]
    return boto3.Session(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]).client(
        "sagemaker-runtime", endpoint_url=aws.url, region_name=aws.environment["AWS_REGION"]
    )


def answer_to(runtime: Any, endpoint: str, model: str) -> Any:
    """What a model answers; None where the caller may not call it."""
    try:
        answer = runtime.invoke_endpoint(EndpointName=endpoint, TargetModel=model, ContentType="text/csv", Body="1,2")
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return None
    return json.loads(answer["Body"].read())


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenant_that_the_app_knows_calls_its_own_models_only(
    aws: LocalEndpoint, outputs: dict[str, str], published: Published, tenant: str
) -> None:
    runtime = runtime_of(aws, outputs[f"{tenant.replace('_', '')}role"])
    for owner, model in published.items():
        expected = [pytest.approx(TENANTS[owner])] if owner == tenant else None
        assert answer_to(runtime, outputs["EndpointName"], model) == expected


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_tag_of_a_session_says_whose_models_it_calls(
    aws: LocalEndpoint, outputs: dict[str, str], published: Published, tenant: str
) -> None:
    runtime = runtime_of(aws, outputs["EveryTenantRole"], tenant=tenant)
    for owner, model in published.items():
        expected = [pytest.approx(TENANTS[owner])] if owner == tenant else None
        assert answer_to(runtime, outputs["EndpointName"], model) == expected


def test_an_endpoint_whose_role_may_not_read_the_code_does_not_start(
    aws: LocalEndpoint, outputs: dict[str, str]
) -> None:
    sagemaker = aws.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=outputs["EndpointName"])["EndpointConfigName"]
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    code = model["Containers"][0]["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"].removeprefix("s3://")
    statement = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{code}"}
    aws.client("iam").put_role_policy(
        RoleName=model["ExecutionRoleArn"].rpartition("/")[2],
        PolicyName="deny",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    sagemaker.create_endpoint(EndpointName="denied", EndpointConfigName=config)
    with pytest.raises(WaiterError):
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="denied", WaiterConfig={"Delay": 1})
    assert "SAGEMAKER_SUBMIT_DIRECTORY" in sagemaker.describe_endpoint(EndpointName="denied")["FailureReason"]
