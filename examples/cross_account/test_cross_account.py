"""The templates of both accounts, and that the policies in them fit each other.

The local endpoint has one account, so nothing is deployed here.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

README = Path(__file__).with_name("README.md")
BUCKET = "arn:aws:s3:::data-science-models-222222222222"


def resolved(value: Any) -> Any:
    """A value as CloudFormation would have it; the only attribute that is looked up is the bucket's ARN."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return separator.join(resolved(parts))
        case {"Fn::GetAtt": [_, "Arn"]}:
            return BUCKET
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case dict():
            return {key: resolved(each) for key, each in value.items()}
        case list():
            return [resolved(each) for each in value]
        case _:
            return value


def of_type(template: Any, kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == kind}


@pytest.fixture(scope="module")
def allowed_there(templates: dict[str, Any]) -> list[Any]:
    """What the bucket's policy allows."""
    (policy,) = of_type(templates["DataScience"], "AWS::S3::BucketPolicy").values()
    statements = resolved(policy["PolicyDocument"]["Statement"])
    return [statement for statement in statements if statement["Effect"] == "Allow"]


def test_templates_are_unchanged(templates: dict[str, Any], snapshot_json: SnapshotAssertion) -> None:
    assert templates == snapshot_json


def test_both_accounts_allow_the_same(templates: dict[str, Any], allowed_there: list[Any]) -> None:
    policies = of_type(templates["Scoring"], "AWS::IAM::Policy").values()
    statements = [resolved(each) for policy in policies for each in policy["PolicyDocument"]["Statement"]]

    def about_the_bucket(statements: list[Any]) -> dict[str, Any]:
        return {
            each["Action"]: (each["Resource"], each.get("Condition", {}).get("StringLike"))
            for each in statements
            if str(each["Action"]).startswith("s3:")
        }

    expected = {
        "s3:GetObject": (f"{BUCKET}/scoring/*", None),
        "s3:ListBucket": (BUCKET, {"s3:prefix": "scoring/*"}),
    }
    assert about_the_bucket(statements) == about_the_bucket(allowed_there) == expected


def test_the_bucket_is_open_to_the_endpoints_role_alone(templates: dict[str, Any], allowed_there: list[Any]) -> None:
    (role,) = of_type(templates["Scoring"], "AWS::IAM::Role")
    name = f"arn:aws:iam::111111111111:role/Scoring-{role}-1A2B3C4D5E6F"  # as CloudFormation makes it
    for statement in allowed_there:
        assert statement["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
        assert fnmatch(name, statement["Condition"]["ArnLike"]["aws:PrincipalArn"])


def test_the_readme_has_that_policy(allowed_there: list[Any]) -> None:
    (block,) = re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
    assert json.loads(block)["Statement"] == allowed_there
