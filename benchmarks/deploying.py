"""Stacks deployed without the CDK CLI, whose start takes longer than what is measured or tested here."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from mme_local.testing import LocalEndpoint

BUCKET = "deployed-assets"
_OFTEN = {"Delay": 0.2, "MaxAttempts": 1500}


def synthesizer() -> cdk.DefaultStackSynthesizer:
    """What the stack has to be made with."""
    return cdk.DefaultStackSynthesizer(file_assets_bucket_name=BUCKET, generate_bootstrap_version_rule=False)


def deploy(local: LocalEndpoint, stack: cdk.Stack) -> dict[str, str]:
    """Synthesize a stack's app, and create or update the stack; its outputs."""
    assembly = Path(cdk.App.of(stack).synth().directory)  # type: ignore[union-attr]
    name = stack.stack_name
    s3, cloudformation = local.client("s3"), local.client("cloudformation")
    s3.create_bucket(Bucket=BUCKET)
    for file in json.loads((assembly / f"{stack.artifact_id}.assets.json").read_text())["files"].values():
        (destination,) = file["destinations"].values()
        s3.put_object(Bucket=BUCKET, Key=destination["objectKey"], Body=_content(assembly, file["source"]))
    template = {"StackName": name, "TemplateBody": (assembly / stack.template_file).read_text()}
    try:
        cloudformation.describe_stacks(StackName=name)
        change = "update"
    except cloudformation.exceptions.ClientError:
        change = "create"
    getattr(cloudformation, f"{change}_stack")(**template, Capabilities=["CAPABILITY_IAM"])
    cloudformation.get_waiter(f"stack_{change}_complete").wait(StackName=name, WaiterConfig=_OFTEN)
    (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def _content(assembly: Path, source: dict[str, Any]) -> bytes:
    path = assembly / str(source["path"])
    if source["packaging"] == "file":
        return path.read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for each in sorted(path.rglob("*")):
            file.write(each, each.relative_to(path))
    return archive.getvalue()
