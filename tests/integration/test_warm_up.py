"""Warm-up of two variants under a canary policy, deployed with policies enforced, and really served by Triton."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events

from benchmarks.deploying import deploy, synthesizer
from cdk_multi_model_endpoint import (
    DeploymentPolicy,
    InferenceImage,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    WarmUpCall,
)
from mme_local.testing import LocalEndpoint

VARIANTS = ("Blue", "Green")
MODELS = ("wanted", "other")
MORE_THAN_HALF_OF_THE_MEMORY = 600_000
CALLS = 11
"""What two instances take."""


class Deployed:
    """The stack, and what happened on the endpoint."""

    def __init__(self, local: LocalEndpoint, folder: Path, sample: dict[str, Any]) -> None:
        self.local = local
        self._folder = folder
        self._sample = sample
        self.targets: dict[str, str] = {}
        self.outputs: dict[str, str] = {}

    def deploy(self, version: str) -> None:
        stack = cdk.Stack(cdk.App(outdir=str(self._folder / f"cdk.out-{version}")), "Warm", synthesizer=synthesizer())
        store = ModelStore(stack, "Models")
        models = {name: store.add_model(name, self._folder / name) for name in MODELS}
        endpoint = MultiModelEndpoint(
            stack,
            "Endpoint",
            container=MultiModelContainer(
                image=InferenceImage.triton("24.09", cpu=True), model_store=store, environment={"VERSION": version}
            ),
            instance_type="ml.c5.xlarge",
            variant_name=VARIANTS[0],
            deployment=DeploymentPolicy.canary(percent=50, wait=cdk.Duration.seconds(0)),
        )
        endpoint.add_variant(VARIANTS[1], instance_type="ml.c5.xlarge", initial_variant_weight=0)
        body, content_type = self._sample["body"], self._sample["content_type"]
        warm_up = endpoint.warm_up(
            "WarmUp",
            [WarmUpCall("absent.tar.gz", body, content_type), WarmUpCall(models["wanted"], body, content_type)],
            schedule=events.Schedule.rate(cdk.Duration.days(1)),
        )
        cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(stack, "Function", value=warm_up.function.function_name)
        cdk.CfnOutput(stack, "Logs", value=warm_up.log_group.log_group_name)
        self.targets = {name: model.target_model for name, model in models.items()}
        self.outputs = deploy(self.local, stack)

    def call(self, model: str) -> None:
        runtime = self.local.client("sagemaker-runtime")

        def answer(variant: str) -> str:
            called = runtime.invoke_endpoint(
                EndpointName=self.outputs["EndpointName"],
                TargetModel=self.targets[model],
                TargetVariant=variant,
                Body=self._sample["body"],
                ContentType=self._sample["content_type"],
            )
            return str(called["Body"].read())

        with ThreadPoolExecutor() as pool:
            assert all("setosa" in each for each in pool.map(answer, VARIANTS))

    def logged(self, event: str, model: str = "wanted") -> int:
        """How often the endpoint has said something of a model."""
        lines = [json.loads(line) for line in self.local.log.read_text().splitlines() if line.startswith("{")]
        said = Counter((line.get("event"), line.get("target_model")) for line in lines)
        return said[event, self.targets[model]]

    def reports(self) -> list[dict[str, Any]]:
        """What the function has logged."""
        found = self.local.client("logs").filter_log_events(logGroupName=self.outputs["Logs"])["events"]
        return [json.loads(each["message"]) for each in found if each["message"].startswith("{")]


def test_first_calls_find_models_loaded_after_updates_and_evictions(
    start_local: Callable[..., LocalEndpoint], tmp_path: Path, root: Path
) -> None:
    for name in MODELS:
        shutil.copytree(root / "stacks" / "models" / "triton" / "iris", tmp_path / name)
        (tmp_path / name / "1" / "padding").write_bytes(name.encode().ljust(MORE_THAN_HALF_OF_THE_MEMORY))
    samples = json.loads((root / "stacks" / "models" / "samples.json").read_text())
    (sample,) = (each for each in samples if each["model"] == "iris")
    # one server for the two instances of a variant: which of them a call meets is not up to the function
    options = ("--json", "--enforce-iam", "--instances", "1", "--memory-budget", "1")
    local = start_local(tmp_path / "log.txt", *options, cwd=root)
    try:
        deployed = Deployed(local, tmp_path, sample)
        for number, version in enumerate(("1", "2"), start=1):
            deployed.deploy(version)
            assert deployed.logged("loaded") == 2 * number
            deployed.call("wanted")
            assert deployed.logged("loaded") == 2 * number
        deployed.call("other")
        assert deployed.logged("evicted from memory") == 2
        local.client("lambda", read_timeout=60).invoke(FunctionName=deployed.outputs["Function"])
        assert deployed.logged("loaded") == 6
        deployed.call("wanted")
        assert deployed.logged("loaded") == 6
        reports = deployed.reports()
        assert {(each["target_model"], each["variant"], each["calls"], each["answered"]) for each in reports} == {
            (target, variant, CALLS, answered)
            for target, answered in (("absent.tar.gz", 0), (deployed.targets["wanted"], CALLS))
            for variant in VARIANTS
        }
        (failed,) = {problem for each in reports for problem in each.get("failed", {})}
        assert "(ValidationError)" in failed
    finally:
        local.stop()
