"""Uploads beside a custom resource of the user's, and a bucket that is emptied, by the real CDK CLI."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from .conftest import Account
from .uploads import BUCKET, STACK

APP = ("--app", f"{sys.executable} {Path(__file__).parent / 'uploads.py'}")


def test_uploads_with_a_function_of_its_own_moves_aliases_and_empties_the_bucket_at_the_end(
    make_account: Callable[[str], Account], tmp_path: Path
) -> None:
    account = make_account("eu-west-2")
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(b"\x00\x01")
    context = ("--context", f"model={model}")
    account.deploy(*APP, *context, "--context", "aliases=prod old", cwd=tmp_path)
    bucket = account.outputs(STACK)[BUCKET]
    s3 = account.client("s3")

    def objects() -> dict[str, bytes]:
        found = s3.list_objects_v2(Bucket=bucket)["Contents"]
        return {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}

    old, prod, model_key = sorted(objects())
    assert (old, prod) == ("models/.aliases/old", "models/.aliases/prod")
    assert model_key.startswith("models/resnet-")
    assert objects()[prod].decode() == model_key.removeprefix("models/")
    s3.put_object(Bucket=bucket, Key=model_key, Body=b"a second version")
    resources = account.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
    functions = [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == "AWS::Lambda::Function"]
    timeouts = [account.client("lambda").get_function_configuration(FunctionName=name)["Timeout"] for name in functions]
    assert 900 in timeouts
    s3.put_object(Bucket=bucket, Key=prod, Body=b"resnet-00000000.tar.gz")
    account.deploy(*APP, *context, "--context", "aliases=prod new", cwd=tmp_path)
    assert [*sorted(objects())] == ["models/.aliases/new", prod, model_key]
    assert objects()[prod] == b"resnet-00000000.tar.gz", "a deployment that changes no model leaves what was set"
    account.cdk("destroy", "--all", "--force", *APP, *context, "--context", "aliases=prod new", cwd=tmp_path)
    assert bucket not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
