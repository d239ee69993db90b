"""Policies as AWS evaluates them: deployed by the real CDK CLI, tried by real calls to a really served endpoint."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from .conftest import Account
from .tenants import MODELS, STACK, TENANTS

HERE = Path(__file__).parent
DENIED = ("AccessDeniedException", 403)
ROLE = "arn:aws:iam::000000000000:role/{}"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"


class Deployed:
    """The account, with policies enforced, and what the stack made in it."""

    def __init__(self, account: Account, samples: dict[str, dict[str, Any]]) -> None:
        self.account = account
        outputs = account.outputs(STACK)
        self.endpoint = outputs["EndpointName"]
        self.role = outputs["ExecutionRole"]
        self.bucket = outputs["StoreUrl"].removeprefix("s3://").partition("/")[0]
        self.targets = {tenant: outputs[tenant.replace("_", "")] for tenant in TENANTS}
        self.samples = samples

    def client(self, service: str, role: str, **tags: str) -> Any:
        """A client with the credentials of a session as a role."""
        session = self.account.client("sts").assume_role(
            RoleArn=ROLE.format(role),
            RoleSessionName="test",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )["Credentials"]
        return boto3.client(
            service,  # type: ignore[call-overload]  # the stubs know services by literal names
            endpoint_url=self.account.local.url,
            region_name=self.account.region,
            aws_access_key_id=session["AccessKeyId"],
            aws_secret_access_key=session["SecretAccessKey"],
            aws_session_token=session["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def invoke(self, runtime: Any, target: str | None, model: str = "house-price") -> Any:
        sample = self.samples[model]
        named = {} if target is None else {"TargetModel": target}
        answer = runtime.invoke_endpoint(
            EndpointName=self.endpoint,
            Body=sample["body"],
            ContentType=sample["content_type"],
            Accept=sample["accept"],
            **named,
        )
        assert answer["InvokedProductionVariant"] == "AllTraffic"
        with answer["Body"] as body:
            return json.load(body)

    def answered(self, runtime: Any, tenant: str) -> bool:
        """Whether a tenant's model answers, and rightly; False when the caller may not call it."""
        model = TENANTS[tenant]
        try:
            prediction = self.invoke(runtime, self.targets[tenant], model)
        except ClientError as error:
            if (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]) != DENIED:
                raise
            return False
        assert prediction == pytest.approx(self.samples[model]["prediction"])
        return True


@pytest.fixture(scope="module")
def account(start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Account]:
    local = start_local(tmp_path_factory.mktemp("local") / "log.txt", "--enforce-iam", cwd=root)
    account = Account(local, "us-east-1", tmp_path_factory.mktemp("cdk.out"))
    account.bootstrap()
    account.deploy("--app", f"{sys.executable} {HERE / 'tenants.py'}", cwd=HERE)
    yield account
    local.stop()


@pytest.fixture(scope="module")
def deployed(account: Account, root: Path) -> Deployed:
    samples = json.loads((root / "stacks" / "models" / "samples.json").read_text())
    return Deployed(account, {sample["model"]: sample for sample in samples})


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenant_reaches_its_own_models_only(deployed: Deployed, tenant: str) -> None:
    runtime = deployed.client("sagemaker-runtime", tenant)
    assert {name: deployed.answered(runtime, name) for name in TENANTS} == {name: name == tenant for name in TENANTS}


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_session_reaches_the_models_that_its_tag_names(deployed: Deployed, tenant: str) -> None:
    runtime = deployed.client("sagemaker-runtime", "tagged", tenant=tenant)
    assert {name: deployed.answered(runtime, name) for name in TENANTS} == {name: name == tenant for name in TENANTS}


@pytest.mark.parametrize(("role", "tags"), [("nobody", {}), ("tagged", {}), ("tagged", {"tenant": "tenant"})])
def test_whoever_has_no_model_reaches_none(deployed: Deployed, role: str, tags: dict[str, str]) -> None:
    runtime = deployed.client("sagemaker-runtime", role, **tags)
    assert not any(deployed.answered(runtime, name) for name in TENANTS)


def test_the_refusal_is_in_awss_words(deployed: Deployed) -> None:
    runtime = deployed.client("sagemaker-runtime", "tenant_a")
    with pytest.raises(ClientError) as raised:
        deployed.invoke(runtime, deployed.targets["tenant_b"])
    assert raised.value.response["Error"]["Message"] == (
        "User: arn:aws:sts::000000000000:assumed-role/tenant_a/test is not authorized to perform:"
        f" sagemaker:InvokeEndpoint on resource: arn:aws:sagemaker:us-east-1:000000000000:endpoint/{deployed.endpoint}"
        " because no identity-based policy allows the sagemaker:InvokeEndpoint action"
    )


def test_no_target_model_is_no_way_around_the_condition(deployed: Deployed) -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        deployed.invoke(deployed.client("sagemaker-runtime", "tenant_a"), None)


def test_dots_lead_to_no_other_tenant(deployed: Deployed) -> None:
    runtime = deployed.client("sagemaker-runtime", "tenant_a")
    target = f"tenant_a/../{deployed.targets['tenant_b']}"
    with pytest.raises(ClientError, match=r"ValidationError.*Failed to download model data"):
        deployed.invoke(runtime, target, TENANTS["tenant_b"])


def test_the_printed_credentials_may_do_everything(deployed: Deployed) -> None:
    runtime = deployed.account.client("sagemaker-runtime")
    assert all(deployed.answered(runtime, name) for name in TENANTS)


def test_a_call_that_is_not_signed_is_refused(deployed: Deployed) -> None:
    url = f"{deployed.account.local.url}/endpoints/{deployed.endpoint}/invocations"
    request = urllib.request.Request(url, b"1,2,3,4", {"X-Amzn-SageMaker-Target-Model": deployed.targets["tenant_a"]})
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)
    with raised.value as answer:
        assert (answer.code, answer.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")


def test_a_wrong_signature_is_refused(deployed: Deployed) -> None:
    runtime = deployed.client("sagemaker-runtime", "tenant_a")
    runtime._request_signer._credentials.secret_key = "guessed"
    with pytest.raises(ClientError, match="signature"):
        deployed.invoke(runtime, deployed.targets["tenant_a"])


def test_the_control_plane_asks_for_permission_too(deployed: Deployed) -> None:
    sagemaker = deployed.client("sagemaker", "tenant_a")
    with pytest.raises(ClientError, match=r"sagemaker:DescribeEndpoint on resource: .*:endpoint/") as raised:
        sagemaker.describe_endpoint(EndpointName=deployed.endpoint)
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"
    iam = deployed.account.client("iam")
    document = {"Statement": [{"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}], "Version": "2012-10-17"}
    iam.put_role_policy(RoleName="nobody", PolicyName="all", PolicyDocument=json.dumps(document))
    sagemaker = deployed.client("sagemaker", "nobody")
    assert sagemaker.describe_endpoint(EndpointName=deployed.endpoint)["EndpointStatus"] == "InService"
    with pytest.raises(ClientError, match="iam:PassRole"):
        sagemaker.create_model(ModelName="passed", ExecutionRoleArn=deployed.role, PrimaryContainer={"Image": IMAGE})
    iam.delete_role_policy(RoleName="nobody", PolicyName="all")


def container(url: str) -> dict[str, str]:
    return {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": url}


@pytest.mark.parametrize("prefix", ["other/", ""])
def test_a_model_must_be_readable_for_its_role(deployed: Deployed, prefix: str) -> None:
    with pytest.raises(ClientError, match=r'Could not access model data at .*ensure that the role has "s3:GetObject"'):
        deployed.account.client("sagemaker").create_model(
            ModelName="unreadable",
            ExecutionRoleArn=deployed.role,
            PrimaryContainer=container(f"s3://{deployed.bucket}/{prefix}"),
        )


@pytest.mark.parametrize("role", ["tenant_a", "absent"])
def test_a_role_must_trust_sagemaker(deployed: Deployed, role: str) -> None:
    with pytest.raises(ClientError, match=r"Could not assume role .* allows principal 'sagemaker.amazonaws.com'"):
        deployed.account.client("sagemaker").create_model(
            ModelName="untrusted",
            ExecutionRoleArn=ROLE.format(role),
            PrimaryContainer=container(f"s3://{deployed.bucket}/models/"),
        )


def test_an_endpoint_reads_what_its_role_may_read(deployed: Deployed) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(MODELS / "house-price" / "xgboost-model", "xgboost-model")
    for key in ("other/model.tar.gz", "models/forbidden.tar.gz", "models/allowed.tar.gz"):
        deployed.account.client("s3").put_object(Bucket=deployed.bucket, Key=key, Body=archive.getvalue())
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{deployed.bucket}/models/forbidden*",
            }
        ],
    }
    role = deployed.role.rpartition("/")[2]
    iam = deployed.account.client("iam")
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=json.dumps(document))
    runtime = deployed.account.client("sagemaker-runtime")
    assert deployed.invoke(runtime, "allowed.tar.gz")
    for target in ("forbidden.tar.gz", "../other/model.tar.gz"):
        with pytest.raises(ClientError, match="role passed to CreateModel has permissions to download") as raised:
            deployed.invoke(runtime, target)
        assert raised.value.response["Error"]["Code"] == "ValidationError"
    iam.delete_role_policy(RoleName=role, PolicyName="deny")
    assert deployed.invoke(runtime, "forbidden.tar.gz")


def test_output_is_where_an_error_says_if_the_role_may_write_it(
    deployed: Deployed, eventually: Callable[..., Any]
) -> None:
    group = f"/aws/sagemaker/Endpoints/{deployed.endpoint}"
    logs = deployed.account.client("logs")
    runtime = deployed.account.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="ModelError") as raised:
        runtime.invoke_endpoint(
            EndpointName=deployed.endpoint, TargetModel=deployed.targets["tenant_a"], ContentType="text/csv", Body=b"?"
        )
    answer: Any = raised.value.response  # its type has no members of single errors
    assert answer["LogStreamArn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    eventually(lambda: logs.filter_log_events(logGroupName=group)["events"])
    role = deployed.role.rpartition("/")[2]
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "logs:*", "Resource": "*"}]}
    iam = deployed.account.client("iam")
    iam.put_role_policy(RoleName=role, PolicyName="mute", PolicyDocument=json.dumps(deny))
    logs.delete_log_group(logGroupName=group)
    # a model's load makes the server say something
    prefix = deployed.account.outputs(STACK)["StoreUrl"].removeprefix(f"s3://{deployed.bucket}/")
    source = {"Bucket": deployed.bucket, "Key": f"{prefix}{deployed.targets['tenant_a']}"}
    deployed.account.client("s3").copy_object(Bucket=deployed.bucket, Key=f"{prefix}another.tar.gz", CopySource=source)
    assert deployed.invoke(runtime, "another.tar.gz", TENANTS["tenant_a"])
    eventually(lambda: "output not delivered" in deployed.account.local.log.read_text() or None)
    iam.delete_role_policy(RoleName=role, PolicyName="mute")
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_the_role_must_be_allowed_to_look_at_rollback_alarms(
    deployed: Deployed, eventually: Callable[..., Any]
) -> None:
    alarm = "errors"
    deployed.account.client("cloudwatch").put_metric_alarm(
        AlarmName=alarm,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    sagemaker = deployed.account.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=deployed.endpoint)
    policy = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}}

    def update() -> Any:
        sagemaker.update_endpoint(
            EndpointName=deployed.endpoint, EndpointConfigName=before["EndpointConfigName"], DeploymentConfig=policy
        )

        def settled() -> Any:
            found = sagemaker.describe_endpoint(EndpointName=deployed.endpoint)
            return found if found["EndpointStatus"] == "InService" else None

        return eventually(settled, 60).get("FailureReason")

    arn = f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{alarm}"
    assert f"not authorized to perform: cloudwatch:DescribeAlarms on resource: {arn}" in update()
    role = deployed.role.rpartition("/")[2]
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": arn}],
    }
    deployed.account.client("iam").put_role_policy(
        RoleName=role, PolicyName="alarms", PolicyDocument=json.dumps(document)
    )
    assert update() is None
