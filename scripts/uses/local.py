"""Start the local endpoint, push a model to it, and print what the model answers.

Usage: ``python local.py MODEL``, with the Python of an environment that has ``multi-model-endpoint[local]``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3

from mme_local.testing import local_endpoint
from multi_model_endpoint import MultiModelClient

IMAGE = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0"


def main(model: str) -> None:
    """Push, deploy and call."""
    with local_endpoint() as aws:
        os.environ.update(aws.environment)
        boto3.client("s3").create_bucket(Bucket="scoring")
        mme = Path(sys.executable).with_name("mme")
        push = [str(mme), "push", model, "s3://scoring/models/"]
        target = subprocess.run(push, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        sagemaker: Any = boto3.client("sagemaker")
        container = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://scoring/models/"}
        role = "arn:aws:iam::000000000000:role/Scoring"
        sagemaker.create_model(ModelName="scoring", ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {"VariantName": "AllTraffic", "ModelName": "scoring", "InstanceType": "ml.m5.xlarge"}
        variants = [variant | {"InitialInstanceCount": 1}]
        sagemaker.create_endpoint_config(EndpointConfigName="scoring", ProductionVariants=variants)
        sagemaker.create_endpoint(EndpointName="scoring", EndpointConfigName="scoring")
        waiter = sagemaker.get_waiter("endpoint_in_service")
        waiter.wait(EndpointName="scoring", WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        answer = MultiModelClient("scoring").invoke(target, b"3,95.5,5", content_type="text/csv")
        print(*json.loads(answer.body))


if __name__ == "__main__":
    main(sys.argv[1])
