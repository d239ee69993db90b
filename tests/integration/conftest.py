"""The real CDK CLI against a local account."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mme_local.testing import LocalEndpoint


@functools.cache
def bootstrap_template() -> str:
    """What ``cdk bootstrap`` deploys."""
    return subprocess.run(["cdk", "bootstrap", "--show-template"], stdout=subprocess.PIPE, text=True, check=True).stdout


@dataclass
class Account:
    """A local account."""

    local: Any
    region: str
    output: Path

    def client(self, service: str) -> Any:
        return self.local.client(service, region=self.region)

    def bootstrap(self) -> None:
        """Do what ``cdk bootstrap`` does, without the seconds that the CLI takes."""
        given = {
            "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
            "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
        }
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName="CDKToolkit",
            TemplateBody=bootstrap_template(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        often = {"Delay": 0.1, "MaxAttempts": 600}
        cloudformation.get_waiter("stack_create_complete").wait(StackName="CDKToolkit", WaiterConfig=often)

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


@pytest.fixture(scope="session")
def without_servers(
    start_local: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalEndpoint]:
    local = start_local(tmp_path_factory.mktemp("local") / "log.txt", "--no-servers")
    yield local
    local.stop()


@pytest.fixture(scope="session")
def make_account(without_servers: LocalEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Account]:
    """A bootstrapped account without model servers; each test takes a region that no other has."""

    def make(region: str) -> Account:
        account = Account(without_servers, region, tmp_path_factory.mktemp("cdk.out"))
        account.bootstrap()
        return account

    return make
