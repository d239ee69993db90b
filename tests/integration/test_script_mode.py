"""The example of many tenants, whose container runs a program: deployed, with policies enforced, and called."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import pytest
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

from .conftest import Account


@pytest.fixture(scope="module")
def account(start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Account]:
    local = start_local(tmp_path_factory.mktemp("local") / "log.txt", "--enforce-iam", cwd=root)
    account = Account(local, "us-east-1", tmp_path_factory.mktemp("cdk.out"))
    account.bootstrap()
    app = f"{sys.executable} {root / 'examples' / 'tenants.py'}"
    account.cdk("deploy", "--app", app, "--require-approval", "never", cwd=root)
    yield account
    local.stop()


def artifact(factor: float) -> bytes:
    model, archive = io.BytesIO(), io.BytesIO()
    joblib.dump(LinearRegression(fit_intercept=False).fit([[1, 0], [0, 1]], [factor, 10 * factor]), model)
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("model.joblib")
        member.size = len(model.getvalue())
        tar.addfile(member, io.BytesIO(model.getvalue()))
    return archive.getvalue()


def names(account: Account) -> tuple[str, str, dict[str, Any]]:
    """The stack's bucket, endpoint and model."""
    resources = account.client("cloudformation").describe_stack_resources(StackName="Tenants")["StackResources"]
    (bucket,) = [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == "AWS::S3::Bucket"]
    sagemaker = account.client("sagemaker")
    (endpoint,) = sagemaker.list_endpoints(NameContains="tenants")["Endpoints"]
    (model,) = sagemaker.list_models()["Models"]
    return bucket, endpoint["EndpointName"], sagemaker.describe_model(ModelName=model["ModelName"])


def test_one_program_serves_the_models_of_all_tenants(account: Account) -> None:
    bucket, endpoint, _ = names(account)
    runtime = account.client("sagemaker-runtime")
    for tenant, factor in (("tenant_a", 1), ("tenant_b", 2)):
        key = f"models/{tenant}/line.tar.gz"
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=artifact(factor))
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, TargetModel=f"{tenant}/line.tar.gz", ContentType="text/csv", Body=b"1,2"
        )
        assert json.loads(answer["Body"].read()) == pytest.approx([21 * factor])


def test_a_role_that_may_not_read_the_code_starts_nothing(account: Account, eventually: Callable[..., Any]) -> None:
    _, endpoint, model = names(account)
    sagemaker = account.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    code = model["Containers"][0]["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"].removeprefix("s3://")
    statement = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{code}"}
    account.client("iam").put_role_policy(
        RoleName=model["ExecutionRoleArn"].rpartition("/")[2],
        PolicyName="deny",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    sagemaker.create_endpoint(EndpointName="denied", EndpointConfigName=config)

    def settled() -> Any:
        described = sagemaker.describe_endpoint(EndpointName="denied")
        return described if described["EndpointStatus"] != "Creating" else None

    described = eventually(settled, 60)
    assert described["EndpointStatus"] == "Failed"
    assert "SAGEMAKER_SUBMIT_DIRECTORY" in described["FailureReason"]
