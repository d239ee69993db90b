"""Models that SageMaker's Model Registry approves: what the store makes to take them in."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import cfnlint.api
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from cdk_multi_model_endpoint import InvalidEndpointError, ModelStore

from .conftest import resource

GROUP = "churn"


@pytest.fixture
def training(stack: cdk.Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, "Training", "training")


def statements(template: Template) -> dict[str, Any]:
    """What the function may do beyond its log, by action."""
    found = resource(template, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    by_action = {json.dumps(each["Action"]).strip('"'): each for each in found}
    return {action: each for action, each in by_action.items() if "logs:" not in action}


def test_waits_for_approvals_in_the_group_alone(stack: cdk.Stack, training: s3.IBucket) -> None:
    ModelStore(stack, "Models").publish_on_approval(GROUP, source=training)
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [GROUP], "ModelApprovalStatus": ["Approved"]},
    }
    Template.from_stack(stack).has_resource_properties("AWS::Events::Rule", {"EventPattern": pattern})


@pytest.mark.parametrize(
    ("given", "name", "alias"),
    [
        ({}, "churn", "churn@approved"),
        ({"name": "tenant_a/churn"}, "tenant_a/churn", "tenant_a/churn@approved"),
        ({"name": "risk", "alias": "best"}, "risk", "best"),
    ],
)
def test_names_models_and_alias_like_the_group_unless_told(
    stack: cdk.Stack, training: s3.IBucket, given: dict[str, str], name: str, alias: str
) -> None:
    ModelStore(stack, "Models", prefix="team").publish_on_approval(GROUP, source=training, **given)
    variables = {"PREFIX": "team/", "NAME": name, "ALIAS_KEY": f"team/.aliases/{alias}"}
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function", {"Environment": {"Variables": Match.object_like(variables)}}
    )


def test_may_read_the_artifacts_and_write_these_models_and_this_alias(stack: cdk.Stack, training: s3.IBucket) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "store")
    ModelStore(stack, "Models", bucket=bucket).publish_on_approval(GROUP, source=training)
    found = statements(Template.from_stack(stack))
    assert set(found) == {"sqs:SendMessage", "s3:GetObject", "s3:PutObject", "s3:ListBucket"}
    arns = {action: [_flat(arn) for arn in each["Resource"]] for action, each in found.items() if "Object" in action}
    alias = "arn:*:s3:::store/models/.aliases/churn@approved"
    assert arns["s3:GetObject"] == ["arn:*:s3:::training/*", alias]
    assert arns["s3:PutObject"] == ["arn:*:s3:::store/models/churn-*", alias]
    prefixes = ["models/churn-*", "models/.aliases/churn@approved"]
    assert found["s3:ListBucket"]["Condition"] == {"StringLike": {"s3:prefix": prefixes}}


def _flat(arn: Any) -> str:
    return "".join(part if isinstance(part, str) else "*" for part in arn["Fn::Join"][1])


def test_may_use_the_keys_of_both_buckets(stack: cdk.Stack) -> None:
    source = s3.Bucket(stack, "Training", encryption_key=kms.Key(stack, "TrainingKey"))
    store = ModelStore(stack, "Models", encryption_key=kms.Key(stack, "Key"))
    store.publish_on_approval(GROUP, source=source)
    found = resource(Template.from_stack(stack), "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    keys = [(each["Resource"]["Fn::GetAtt"][0], each["Action"]) for each in found if "kms:" in str(each["Action"])]
    assert [(key.rstrip("0123456789ABCDEF"), actions) for key, actions in keys] == [
        ("TrainingKey", "kms:Decrypt"),
        ("Key", ["kms:Decrypt", "kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]),
    ]


def test_keeps_what_failed_whether_or_not_the_function_was_reached(stack: cdk.Stack, training: s3.IBucket) -> None:
    ModelStore(stack, "Models").publish_on_approval(GROUP, source=training)
    template = Template.from_stack(stack)
    ((queue, properties),) = template.find_resources("AWS::SQS::Queue").items()
    assert properties["Properties"] == {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}
    arn = {"Fn::GetAtt": [queue, "Arn"]}
    template.has_resource_properties("AWS::Lambda::Function", {"DeadLetterConfig": {"TargetArn": arn}})
    target = Match.object_like({"DeadLetterConfig": {"Arn": arn}})
    template.has_resource_properties("AWS::Events::Rule", {"Targets": [target]})


def test_serves_several_groups(stack: cdk.Stack, training: s3.IBucket) -> None:
    store = ModelStore(stack, "Models")
    approvals = [store.publish_on_approval(group, source=training) for group in ("churn", "risk")]
    assert approvals[0].rule != approvals[1].rule
    Template.from_stack(stack).resource_count_is("AWS::Events::Rule", 2)


@pytest.mark.parametrize(
    ("group", "given", "message"),
    [
        ("tenant_a/churn", {}, "model_package_group must be the name of a group, 1 to 63 letters, digits and inner"),
        ("churn", {"name": "../churn"}, "name must be a relative path such as"),
        ("churn", {"alias": "churn@*"}, "alias must be at most 256 characters such as"),
        ("risk", {}, "model_package_group must be new in this store, got 'risk' a second time"),
    ],
)
def test_refuses_what_can_be_no_name(
    stack: cdk.Stack, training: s3.IBucket, group: str, given: dict[str, str], message: str
) -> None:
    store = ModelStore(stack, "Models")
    store.publish_on_approval("risk", source=training)
    with pytest.raises(InvalidEndpointError, match=message.replace("(", r"\(")):
        store.publish_on_approval(group, source=training, **given)


def test_the_functions_code_needs_nothing_that_lambda_has_not(stack: cdk.Stack, training: s3.IBucket) -> None:
    """Beside the standard library and boto3, which a stub stands for."""
    ModelStore(stack, "Models").publish_on_approval(GROUP, source=training)
    assembly = cdk.App.of(stack).synth()  # type: ignore[union-attr]
    code = next(Path(assembly.directory).glob("asset.*/publish_approved.py")).parent
    program = (
        f"import sys, types; sys.path.insert(0, {str(code)!r})\n"
        "for name in ('boto3', 'botocore', 'botocore.exceptions'): sys.modules[name] = types.ModuleType(name)\n"
        "sys.modules['botocore.exceptions'].ClientError = Exception\n"
        "import publish_approved\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program], check=True)
    assert not [*code.rglob("__pycache__")]


def test_passes_cfn_lint(stack: cdk.Stack, training: s3.IBucket) -> None:
    ModelStore(stack, "Models").publish_on_approval(GROUP, source=training)
    template = json.dumps(Template.from_stack(stack).to_json())
    # W3005 is the CDK's own: a function waits for its role twice
    assert {match.rule.id for match in cfnlint.api.lint(template, config={"regions": ["us-east-1"]})} <= {"W3005"}


def test_cdk_nag_finds_only_what_is_a_matter_of_the_account(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    stack = cdk.Stack(app, "Stack")
    store = ModelStore(stack, "Models")
    store.publish_on_approval(GROUP, source=s3.Bucket.from_bucket_name(stack, "Training", "training"))
    with suppress(RuntimeError):  # since there are findings
        app.synth()
    reports = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    found = {
        (
            violation["ruleName"].partition("[")[0],
            construct["constructPath"].removeprefix("Stack/Models/Approvals/churn/"),
        )
        for report in reports
        for violation in report["violations"]
        for construct in violation["violatingConstructs"]
        if "/Approvals/" in construct["constructPath"]
    }
    assert found == {
        # reads a bucket, and writes names that are made of contents
        ("AwsSolutions-IAM5", "Role/DefaultPolicy/Resource"),
        ("NIST.800.53.R5-IAMNoInlinePolicy", "Role/DefaultPolicy/Resource"),
        # whose key, whose VPC, and how much of the account's concurrency
        ("NIST.800.53.R5-CloudWatchLogGroupEncrypted", "Logs/Resource"),
        ("NIST.800.53.R5-LambdaInsideVPC", "Function/Resource"),
        ("NIST.800.53.R5-LambdaConcurrency", "Function/Resource"),
    }
