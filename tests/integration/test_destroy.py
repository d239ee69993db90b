"""What a stack leaves behind: the real CDK CLI destroys it, and the CDK's own function empties its bucket."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from .conftest import Account
from .disposable import STACK

HERE = Path(__file__).parent
APP = ("--app", f"{sys.executable} {HERE / 'disposable.py'}")


def test_a_stack_with_a_default_vpc_and_a_full_bucket_is_destroyed(make_account: Callable[[str], Account]) -> None:
    account = make_account("us-east-1")
    account.deploy(*APP, cwd=HERE)
    name = account.outputs(STACK)["BucketName"]
    s3 = account.client("s3")
    s3.put_object(Bucket=name, Key="models/a", Body=b"1")
    s3.put_object(Bucket=name, Key="models/a", Body=b"2")
    s3.delete_object(Bucket=name, Key="models/a")
    account.cdk("destroy", "--all", "--force", *APP, cwd=HERE)
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=name)
    gateways = account.client("ec2").describe_nat_gateways()["NatGateways"]
    assert [gateway["State"] for gateway in gateways] == ["deleted", "deleted"]
