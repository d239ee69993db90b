"""Every policy document that the library makes, through the IAM linter parliament."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from cdk_multi_model_endpoint import (
    CoreDump,
    DataCapture,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
    WarmUpCall,
)

from .conftest import STACKS, template

PARTITION, REGION, ACCOUNT = "aws", "us-west-2", "123456789012"
ARNS = {
    "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{{}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
}
JUSTIFIED = {
    # AWS documents "*" for network interfaces in a VPC: subnets and security groups are named in the model's VpcConfig,
    # and the interfaces are not known before
    ("RESOURCE_STAR", "ec2:CreateNetworkInterface"),
    ("RESOURCE_STAR", "ec2:CreateNetworkInterfacePermission"),
    ("RESOURCE_STAR", "ec2:DeleteNetworkInterface"),
}


def everything() -> dict[str, Any]:
    """A template with all that grants anything."""
    stack = cdk.Stack(cdk.App(), "Everything", env=cdk.Environment(account=ACCOUNT, region=REGION))
    key = kms.Key(stack, "Key")
    store = ModelStore(stack, "Models", encryption_key=key)
    endpoint = MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(image=InferenceImage.built_in("xgboost", "3.2-0"), model_store=store),
        postprocessors=[
            PipelineContainer(image=InferenceImage.built_in("knn"), model_data_url="s3://bucket/key.tar.gz")
        ],
        instance_type="ml.m5.xlarge",
        vpc=ec2.Vpc(stack, "Vpc"),
        encryption_key=key,
        data_capture=DataCapture(bucket=store.bucket),
        core_dump=CoreDump(bucket=store.bucket),
        endpoint_name="Everything",
    )
    monitoring = endpoint.monitor("Monitoring", alarm_topic=sns.Topic(stack, "Topic"))
    endpoint.add_rollback_alarms(*monitoring.error_alarms)
    endpoint.default_variant.auto_scale_instance_count(max_capacity=4).scale_on_cpu_utilization(
        "Cpu", target_utilization_percent=50
    )
    endpoint.warm_up("WarmUp", [WarmUpCall("churn.tar.gz", "1,2", "text/csv")])
    user = iam.Role(stack, "User", assumed_by=iam.AccountPrincipal(ACCOUNT))
    endpoint.grant_invoke(user, target_models=["tenant_a/*", "${aws:PrincipalTag/tenant}/*"])
    store.grant_publish(iam.Role(stack, "Publisher", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com")))
    return dict(Template.from_stack(stack).to_json())


def resolved(value: Any, within: dict[str, Any]) -> Any:
    """A template's value as it is when deployed."""
    match value:
        case {"Ref": "AWS::Partition"}:
            return PARTITION
        case {"Ref": "AWS::Region"}:
            return REGION
        case {"Ref": "AWS::AccountId"}:
            return ACCOUNT
        case {"Fn::GetAtt": [logical_id, "Arn"]}:
            return ARNS[within["Resources"][logical_id]["Type"]].format(logical_id.lower())
        case {"Fn::FindInMap": [name, key, attribute]}:
            return within["Mappings"][name][resolved(key, within)][attribute]
        case {"Fn::Join": [separator, parts]}:
            return separator.join(resolved(part, within) for part in parts)
        case {"Fn::Sub": text}:
            return text.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", REGION)
        case dict():
            assert not any(name == "Ref" or name.startswith("Fn::") for name in value), value
            return {name: resolved(each, within) for name, each in value.items()}
        case list():
            return [resolved(each, within) for each in value]
        case _:
            return value


def documents(within: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every policy document in a template, by the resource and the property that has it."""
    for logical_id, resource in within["Resources"].items():
        if resource["Type"] == "AWS::KMS::Key":
            continue  # the key is its owner's, and the CDK's policy of it trusts the account
        for name, value in resource.get("Properties", {}).items():
            if isinstance(value, dict) and "Statement" in value:
                document = resolved(value, within)
                if name == "AssumeRolePolicyDocument":
                    for statement in document["Statement"]:
                        statement["Resource"] = ARNS["AWS::IAM::Role"].format(logical_id)  # as parliament wants one
                yield f"{logical_id}.{name}", document


def lint(folder: Path) -> set[tuple[str, str, str]]:
    """What parliament finds: where, what and of which action."""
    command = ["parliament", "--directory", str(folder), "--json", "--minimum_severity", "INFO"]
    # parliament imports pkg_resources, which warns that it is old
    environment = {**os.environ, "PYTHONWARNINGS": "ignore::UserWarning"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == bool(found)
    return {
        (Path(finding["location"]["filepath"]).stem, finding["issue"], str(detail))
        for finding in found
        for detail in (finding["detail"] if isinstance(finding["detail"], list) else [finding["detail"]])
    }


def write(folder: Path, within: dict[str, Any]) -> set[str]:
    names = set()
    for name, document in documents(within):
        (folder / f"{name}.json").write_text(json.dumps(document))
        names.add(name.partition(".")[2])
    return names


@pytest.mark.parametrize("stack", STACKS)
def test_policies_of_the_stacks_have_no_findings(assembly: Path, stack: str, tmp_path: Path) -> None:
    kinds = write(tmp_path, template(assembly, stack))
    assert kinds == {"PolicyDocument", "AssumeRolePolicyDocument"}
    assert lint(tmp_path) == set()


def test_policies_of_every_grant_have_only_justified_findings(tmp_path: Path) -> None:
    kinds = write(tmp_path, everything())
    assert kinds == {"PolicyDocument", "AssumeRolePolicyDocument"}
    assert {(issue, detail) for _, issue, detail in lint(tmp_path)} == JUSTIFIED


@pytest.mark.parametrize(
    ("statement", "issue"),
    [
        ({"Action": "sagemaker:InvokeEndpoints", "Resource": "*"}, "UNKNOWN_ACTION"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket"}, "RESOURCE_MISMATCH"),
        (
            {
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::bucket/*",
                "Condition": {"StringLike": {"s3:prefix": "models/*"}},
            },
            "UNKNOWN_CONDITION_FOR_ACTION",
        ),
    ],
)
def test_the_linter_knows_actions_resources_and_conditions(
    statement: dict[str, Any], issue: str, tmp_path: Path
) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    (tmp_path / "wrong.json").write_text(json.dumps(policy))
    assert issue in {found for _, found, _ in lint(tmp_path)}
