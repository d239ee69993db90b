"""Three hundred models in one stack, deployed, called, and joined by one more, by the real CDK CLI."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xgboost

from .conftest import Account
from .many import STACK

MODELS = 300
APP = Path(__file__).with_name("many.py")


def test_three_hundred_models_deploy_and_one_more_touches_one_resource(
    start_local: Callable[..., Any], tmp_path: Path, root: Path
) -> None:
    house_price = (root / "stacks" / "models" / "xgboost" / "house-price" / "xgboost-model").read_bytes()
    booster = xgboost.Booster(model_file=bytearray(house_price))

    def add(number: int) -> None:
        folder = tmp_path / "models" / f"model-{number:03}"
        folder.mkdir(parents=True)
        booster.set_attr(number=str(number))
        booster.save_model(folder / "model.ubj")
        (folder / "model.ubj").rename(folder / "xgboost-model")

    for number in range(MODELS):
        add(number)
    local = start_local(tmp_path / "log.txt")
    try:
        account = Account(local, "us-east-1", tmp_path / "cdk.out")
        account.bootstrap()
        app = ("--app", f"{sys.executable} {APP}", "--context", f"models={tmp_path / 'models'}")
        account.deploy(*app, cwd=tmp_path)
        outputs = account.outputs(STACK)
        bucket, _, prefix = outputs["ModelStoreUrl"].removeprefix("s3://").partition("/")
        keys = [each["Key"] for each in account.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
        assert len(keys) == MODELS
        (target,) = [key.removeprefix(prefix) for key in keys if "model-217-" in key]
        (sample,) = [
            each
            for each in json.loads((root / "stacks" / "models" / "samples.json").read_text())
            if each["model"] == "house-price"
        ]
        answer = account.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=outputs["EndpointName"], TargetModel=target, ContentType="text/csv", Body=sample["body"]
        )
        assert json.loads(answer["Body"].read()) == pytest.approx(sample["prediction"])
        cloudformation = account.client("cloudformation")
        before = {event["EventId"] for event in events(cloudformation)}
        add(MODELS)
        said = account.cdk("deploy", "--all", "--require-approval", "never", *app, cwd=tmp_path)
        touched = {
            event["LogicalResourceId"]
            for event in events(cloudformation)
            if event["EventId"] not in before and event["LogicalResourceId"] != STACK
        }
        (only,) = touched
        assert "model300" in only
        assert "model-300" in said
        assert "model-299" not in said.partition("deploying")[2]
    finally:
        local.stop()


def events(cloudformation: Any) -> list[dict[str, Any]]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=STACK)
    return [event for page in pages for event in page["StackEvents"]]
