"""``ModelStore.publish_on_approval`` on the local EventBridge, with events of the shape that SageMaker documents.

https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
"""

from __future__ import annotations

import importlib
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import ModelStore
from mme_local.testing import LocalEndpoint
from multi_model_endpoint.artifacts import inspect, target_model

GROUP = "versionedmp-p-idy6c3e1fiqj"
ALIAS = "models/.aliases/churn@approved"
SOURCE = "test.sagemaker"
ASSETS = "cdk-hnb659fds-assets-000000000000-us-east-1"


def archive(path: Path, content: bytes) -> Path:
    """As ``tar`` makes it, with an owner and a clock, ``./`` before the names and another order than ours."""
    with tarfile.open(path, "w:gz") as tar:
        for name in ("./xgboost-model", "./code/notes.txt"):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname = len(content), 1_700_000_000, "somebody"
            tar.addfile(info, io.BytesIO(content))
    return path


def approval(version: int, *, time: str = "2026-02-24T17:00:14Z", **detail: Any) -> dict[str, Any]:
    """An event, with what of it nothing here reads left out."""
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:model-package/{GROUP}/{version}"
    url = f"s3://training/pipelines/{version}/output/model.tar.gz"
    package = {
        "ModelPackageGroupName": GROUP,
        "ModelPackageVersion": version,
        "ModelPackageArn": arn,
        "CreationTime": "2026-02-24T16:00:14Z",
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": "257758044811.dkr.ecr.us-east-2.amazonaws.com/sagemaker-xgboost:1.0-1-cpu-py3",
                    "ImageDigest": "sha256:4dc8a7e4a010a19bb9e0a6b063f355393f6e623603361bd8b105f554d4f0c004",
                    "ModelDataUrl": url,
                }
            ],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        "ModelPackageStatus": "Completed",
        "CertifyForMarketplace": False,
        "ModelApprovalStatus": "Approved",
        "LastModifiedTime": time,
    }
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "account": "000000000000",
        "time": time,
        "region": "us-east-1",
        "resources": [arn],
        "detail": package | detail,
    }


@pytest.fixture(scope="module")
def artifacts(control_plane: LocalEndpoint, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The artifacts of three versions, the last no model, and what the others' target models are."""
    folder, client = tmp_path_factory.mktemp("artifacts"), control_plane.client("s3")
    client.create_bucket(Bucket="training")
    targets = {}
    for version in (1, 2):
        path = archive(folder / f"{version}.tar.gz", f"booster {version}".encode())
        client.upload_file(str(path), "training", f"pipelines/{version}/output/model.tar.gz")
        targets[version] = target_model("churn", inspect(path)[0])
    client.put_object(Bucket="training", Key="pipelines/3/output/model.tar.gz", Body=b"no archive")
    return targets


@pytest.fixture
def bucket(control_plane: LocalEndpoint, unique: Callable[[str], str]) -> str:
    name = unique("approved-")
    control_plane.client("s3").create_bucket(Bucket=name)
    control_plane.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def named(control_plane: LocalEndpoint, bucket: str) -> str | None:
    client = control_plane.client("s3")
    if ALIAS not in keys(control_plane, bucket):
        return None
    body: bytes = client.get_object(Bucket=bucket, Key=ALIAS)["Body"].read()
    return body.decode()


def keys(control_plane: LocalEndpoint, bucket: str) -> set[str]:
    return {each["Key"] for each in control_plane.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])}


@pytest.fixture
def handler(
    control_plane: LocalEndpoint, bucket: str, artifacts: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any]], str | None]:
    """The function's code, in this process."""
    store = {"BUCKET": bucket, "PREFIX": "models/", "NAME": "churn", "ALIAS_KEY": ALIAS}
    for name, value in {**control_plane.environment, **store}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps its credentials
    module = importlib.import_module("cdk_multi_model_endpoint._models.publish_approved")
    return lambda event: module.handler(event, None)


@pytest.fixture
def rule(control_plane: LocalEndpoint, bucket: str, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[None]:
    """The rule and the function, deployed by their own template."""
    app = cdk.App(outdir=str(tmp_path / "cdk.out"))
    synthesizer = cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    stack = cdk.Stack(app, unique("Approvals"), synthesizer=synthesizer)
    store = ModelStore(stack, "Models", bucket=s3.Bucket.from_bucket_name(stack, "Bucket", bucket))
    training = s3.Bucket.from_bucket_name(stack, "Training", "training")
    store.publish_on_approval(GROUP, source=training, name="churn")
    app.synth()
    client = control_plane.client("s3")
    client.create_bucket(Bucket=ASSETS)
    for code in (tmp_path / "cdk.out").glob("asset.*"):
        zipped = shutil.make_archive(str(tmp_path / code.name), "zip", code)
        client.upload_file(zipped, ASSETS, f"{code.name.removeprefix('asset.')}.zip")
    formation = control_plane.client("cloudformation")
    # Nobody but AWS may put events of a source called aws
    template = (tmp_path / "cdk.out" / f"{stack.stack_name}.template.json").read_text()
    template = template.replace('"aws.sagemaker"', f'"{SOURCE}"')
    formation.create_stack(StackName=stack.stack_name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
    formation.get_waiter("stack_create_complete").wait(
        StackName=stack.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    yield
    formation.delete_stack(StackName=stack.stack_name)


def put(control_plane: LocalEndpoint, event: dict[str, Any]) -> None:
    entry = {
        "Source": SOURCE,
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "Resources": event["resources"],
        "Time": event["time"],
    }
    answer = control_plane.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer


def test_an_approval_puts_the_model_into_the_store_and_moves_the_alias(
    control_plane: LocalEndpoint,
    rule: None,
    bucket: str,
    artifacts: dict[int, str],
    eventually: Callable[..., Any],
) -> None:
    put(control_plane, approval(2, ModelApprovalStatus="Rejected"))
    put(control_plane, approval(2, ModelPackageGroupName="another"))
    for version in (1, 2):
        put(control_plane, approval(version, time=f"2026-02-24T17:00:1{version}Z"))
        eventually(lambda version=version: named(control_plane, bucket) == artifacts[version])
    assert keys(control_plane, bucket) == {ALIAS, *(f"models/{target}" for target in artifacts.values())}
    copied = control_plane.client("s3").get_object(Bucket=bucket, Key=f"models/{artifacts[1]}")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(copied)) as tar:
        assert tar.getnames() == ["./xgboost-model", "./code/notes.txt"]


@pytest.mark.parametrize(
    ("detail", "matches"),
    [({}, True), ({"ModelApprovalStatus": "Rejected"}, False), ({"ModelPackageGroupName": "another"}, False)],
)
def test_the_rule_matches_an_approval_in_its_group(
    control_plane: LocalEndpoint, detail: dict[str, str], matches: bool
) -> None:
    stack = cdk.Stack(cdk.App(), "Stack")
    training = s3.Bucket.from_bucket_name(stack, "Training", "training")
    ModelStore(stack, "Models").publish_on_approval(GROUP, source=training)
    (rule,) = Template.from_stack(stack).find_resources("AWS::Events::Rule").values()
    answer = control_plane.client("events").test_event_pattern(
        EventPattern=json.dumps(rule["Properties"]["EventPattern"]), Event=json.dumps(approval(1, **detail))
    )
    assert answer["Result"] is matches


def test_the_same_approval_twice_changes_nothing(
    handler: Any, control_plane: LocalEndpoint, bucket: str, artifacts: dict[int, str]
) -> None:
    assert handler(approval(1)) == handler(approval(1)) == artifacts[1]
    versions = control_plane.client("s3").list_object_versions(Bucket=bucket)["Versions"]
    assert len(versions) == 2


def test_a_version_that_is_approved_again_gets_the_alias_back(
    handler: Any, control_plane: LocalEndpoint, bucket: str, artifacts: dict[int, str]
) -> None:
    for version, time in ((1, "17:00:01"), (2, "17:00:02"), (1, "17:00:03")):
        handler(approval(version, time=f"2026-02-24T{time}Z"))
        assert named(control_plane, bucket) == artifacts[version]


def test_an_approval_that_comes_late_leaves_the_later_one(
    handler: Any, control_plane: LocalEndpoint, bucket: str, artifacts: dict[int, str]
) -> None:
    handler(approval(2, time="2026-02-24T17:00:02Z"))
    assert handler(approval(1, time="2026-02-24T17:00:01Z")) == artifacts[1]
    assert named(control_plane, bucket) == artifacts[2]


def test_an_alias_that_somebody_has_moved_since_stays(handler: Any, control_plane: LocalEndpoint, bucket: str) -> None:
    control_plane.client("s3").put_object(Bucket=bucket, Key=ALIAS, Body=b"churn-0a1b2c3d.tar.gz\n")
    handler(approval(1, time="2026-02-24T17:00:01Z"))
    assert named(control_plane, bucket) == "churn-0a1b2c3d.tar.gz\n"
    handler(approval(1, time="2099-02-24T17:00:01Z"))
    assert str(named(control_plane, bucket)).startswith("churn-")
    assert named(control_plane, bucket) != "churn-0a1b2c3d.tar.gz\n"


def test_two_approvals_at_once_leave_the_later_one(
    handler: Any,
    control_plane: LocalEndpoint,
    bucket: str,
    artifacts: dict[int, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other one comes between this one's look at the alias and its move."""
    module = sys.modules["cdk_multi_model_endpoint._models.publish_approved"]
    is_there = module._is_there
    others = [approval(2, time="2026-02-24T17:00:02Z")]

    def overtaken(client: Any, settings: Any, key: str) -> Any:
        found = is_there(client, settings, key)
        if key == ALIAS and others:
            handler(others.pop())
        return found

    monkeypatch.setattr(module, "_is_there", overtaken)
    handler(approval(1, time="2026-02-24T17:00:01Z"))
    assert named(control_plane, bucket) == artifacts[2]


def test_a_change_of_an_approved_version_is_no_approval(
    handler: Any, control_plane: LocalEndpoint, bucket: str
) -> None:
    assert handler(approval(1, UpdatedModelPackageFields=["CustomerMetadataProperties"])) is None
    assert keys(control_plane, bucket) == set()
    assert handler(approval(1, UpdatedModelPackageFields=["ModelApprovalStatus"])) is not None


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (approval(3), "path must be a gzipped tar archive"),
        (approval(1, InferenceSpecification={"Containers": [{}]}), "must have one container with a ModelDataUrl"),
    ],
)
def test_what_is_no_model_is_told_of_and_moves_nothing(
    handler: Any, control_plane: LocalEndpoint, bucket: str, event: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        handler(event)
    assert keys(control_plane, bucket) == set()
