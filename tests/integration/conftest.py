"""The real CDK CLI against a local account."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Account:
    """A bootstrapped local account."""

    local: Any
    region: str
    output: Path

    def client(self, service: str) -> Any:
        return self.local.client(service, region=self.region)

    def cdk(self, *arguments: str, cwd: Path) -> str:
        """Run the CDK CLI as a user would, and return what it said."""
        environment = {
            **os.environ,
            **self.local.environment,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "CDK_DEFAULT_REGION": self.region,
            # the CDK's own rules take half of a run's processor time; tests/compliance has them
            "CDK_VALIDATION": "false",
        }
        command = ["cdk", *arguments, "--output", str(self.output)]
        result = subprocess.run(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    def deploy(self, *arguments: str, cwd: Path) -> None:
        self.cdk("deploy", "--all", "--require-approval", "never", *arguments, cwd=cwd)

    def outputs(self, stack: str) -> dict[str, str]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def serve_store(local: Any, name: str, url: str, eventually: Callable[..., Any]) -> None:
    """Have XGBoost serve the models of a store on an endpoint, which is in service then."""
    sagemaker = local.client("sagemaker")
    image = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0"
    container = {"Image": image, "Mode": "MultiModel", "ModelDataUrl": url}
    role = "arn:aws:iam::000000000000:role/Scoring"
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.xlarge"}
    variants = [variant | {"InitialInstanceCount": 1}]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    eventually(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")


@pytest.fixture(scope="module")
def make_account(
    start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, root: Path
) -> Iterator[Callable[[str], Account]]:
    local = start_local(tmp_path_factory.mktemp("local") / "log.txt", "--no-servers")

    def make(region: str) -> Account:
        account = Account(local, region, tmp_path_factory.mktemp("cdk.out"))
        account.cdk("bootstrap", f"aws://000000000000/{region}", cwd=root)
        return account

    yield make
    local.stop()
