"""Random endpoints: each is refused with our own error, or is one that every validator accepts.

The validators: the CDK's strict template validation, cfn-lint, and botocore's service model with all its constraints,
of ``create_model``, ``create_endpoint_config`` and ``create_endpoint``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from cfnlint.api import lint_file
from cfnlint.config import ManualArgs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdk_multi_model_endpoint import (
    CoreDump,
    DataCapture,
    DeploymentPolicy,
    InferenceImage,
    InvalidEndpointError,
    ModelStore,
    MultiModelContainer,
    MultiModelEndpoint,
    PipelineContainer,
    RoutingStrategy,
)
from mme_local.aws.shapes import check_request

EXAMPLES = int(os.environ.get("MME_RANDOM_EXAMPLES", "30"))
ACCOUNT, REGION = "123456789012", "us-west-2"
STAND_INS = {
    "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/role",
    "KmsKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/key",
}
FLAGS = {"@aws-cdk/core:validateAgainstDefaultRules": True, "@aws-cdk/core:enablePartitionLiterals": True}

legal_names = st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", fullmatch=True).filter(lambda name: len(name) <= 63)
images = st.sampled_from(
    [
        InferenceImage.built_in("xgboost", "3.2-0"),
        InferenceImage.built_in("knn"),
        InferenceImage.triton("24.09"),
        InferenceImage.triton("25.09", cpu=True),
        InferenceImage.from_uri(f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/own:1"),
    ]
)


def optional(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=strategies)


def arguments(wild: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments of an endpoint: wild ones are nearly always refused, the others mostly accepted."""
    names = st.one_of(legal_names, st.text(max_size=70)) if wild else legal_names
    keys = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True)
    values = st.text(max_size=20)
    environments = (
        st.dictionaries(st.one_of(keys, st.text(max_size=5)), st.one_of(values, st.just("x" * 1025)), max_size=4)
        if wild
        else st.dictionaries(keys, values, max_size=4)
    )
    counts = st.integers(-1, 12) if wild else st.integers(2, 12)
    seconds = (st.integers(0, 4000) if wild else st.integers(60, 3600)).map(cdk.Duration.seconds)
    limits = (st.integers(0, 30_000) if wild else st.integers(28_000, 28_800)).map(cdk.Duration.seconds)
    sizes = (st.integers(0, 600) if wild else st.integers(1, 512)).map(cdk.Size.gibibytes)
    weights = st.sampled_from([0, 0.25, 1, -1] if wild else [0, 0.25, 1])
    cpus = ["ml.m5.xlarge", "ml.c5.large", "ml.m5d.large", "ml.r7i.2xlarge"]
    types = st.sampled_from([*cpus, "ml.m6g.large", "ml.g4dn.xlarge", "ml.inf2.xlarge", "m5.large"] if wild else cpus)
    variant = {
        "initial_instance_count": counts,
        "volume_size": sizes,
        "model_data_download_timeout": seconds,
        "container_startup_health_check_timeout": seconds,
        "inference_ami_version": st.just("al2-ami-sagemaker-inference-gpu-3-1"),
        "enable_ssm_access": st.booleans(),
        "routing_strategy": st.sampled_from(RoutingStrategy),
    }
    hostnames = st.one_of(st.none(), names) if wild else st.none()
    neighbours = st.builds(
        PipelineContainer,
        image=images,
        model_data_url=st.sampled_from([None, "s3://bucket/key.tar.gz", *(["bucket/key"] if wild else [])]),
        environment=environments,
        container_hostname=hostnames,
    )
    percents = st.integers(0, 60) if wild else st.integers(10, 50)
    stepped = [DeploymentPolicy.canary, DeploymentPolicy.linear, *([DeploymentPolicy.rolling] if wild else [])]
    deployments = st.one_of(
        st.builds(DeploymentPolicy.all_at_once, termination_wait=seconds, maximum_execution_time=limits),
        *(st.builds(policy, wait=seconds, percent=percents, maximum_execution_time=limits) for policy in stepped),
        *(st.builds(policy, wait=seconds, instances=st.integers(0, 6)) for policy in stepped if wild),
    )
    return st.fixed_dictionaries(
        {
            "image": images,
            "container": optional(model_cache=st.booleans(), environment=environments, container_hostname=hostnames),
            "endpoint": st.fixed_dictionaries(
                {"instance_type": types},
                optional={
                    "preprocessors": st.lists(neighbours, max_size=2),
                    "postprocessors": st.lists(neighbours, max_size=2),
                    "variant_name": names,
                    "initial_variant_weight": weights,
                    "network_isolation": st.booleans(),
                    "deployment": deployments,
                    "retain_variant_properties": st.booleans(),
                    "endpoint_name": names,
                    **variant,
                },
            ),
            "extras": st.sets(st.sampled_from(["data_capture", "core_dump", *(["encryption_key"] if wild else [])])),
            "variants": st.lists(
                st.tuples(
                    names,
                    st.fixed_dictionaries({"instance_type": types, "initial_variant_weight": weights}),
                    optional(**variant),
                ),
                max_size=2,
            ),
            "scaling": st.one_of(st.none(), st.tuples(counts, st.one_of(st.none(), counts))) if wild else st.just(12),
        }
    )


outcomes: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def both_outcomes() -> Iterator[None]:
    """A test that only ever sees one of the two outcomes would prove little."""
    yield
    assert outcomes["refused"] > EXAMPLES // 10
    assert outcomes["accepted"] > EXAMPLES // 10


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(drawn=st.booleans().flatmap(arguments))
def test_is_refused_or_valid(drawn: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(outdir=folder, context=FLAGS)
        stack = cdk.Stack(app, "Stack", env=cdk.Environment(account=ACCOUNT, region=REGION))
        try:
            make_endpoint(stack, drawn)
        except InvalidEndpointError:
            outcomes["refused"] += 1
            return
        weights = [drawn["endpoint"].get("initial_variant_weight", 1)]
        weights += [required["initial_variant_weight"] for _, required, _ in drawn["variants"]]
        if not any(weights):
            with pytest.raises(RuntimeError, match="above 0 for at least one variant"):
                app.synth()
            outcomes["refused"] += 1
            return
        app.synth()
        template = Path(folder, "Stack.template.json")
        found = lint_file(template, config=ManualArgs(regions=[REGION], ignore_checks=["W"]))
        assert not found, [str(match) for match in found]
        check_requests(json.loads(template.read_text())["Resources"])
        outcomes["accepted"] += 1


def make_endpoint(stack: cdk.Stack, drawn: dict[str, Any]) -> None:
    makers: dict[str, Callable[[], Any]] = {
        "encryption_key": lambda: kms.Key(stack, "Key"),
        "data_capture": lambda: DataCapture(bucket=s3.Bucket.from_bucket_name(stack, "Captured", "captured")),
        "core_dump": lambda: CoreDump(bucket=s3.Bucket.from_bucket_name(stack, "Dumped", "dumped")),
    }
    endpoint = MultiModelEndpoint(
        stack,
        "Endpoint",
        container=MultiModelContainer(
            image=drawn["image"], model_store=ModelStore(stack, "Models"), **drawn["container"]
        ),
        **drawn["endpoint"],
        **{extra: makers[extra]() for extra in drawn["extras"]},
    )
    for name, required, rest in drawn["variants"]:
        endpoint.add_variant(name, **required, **rest)
    if isinstance(drawn["scaling"], tuple):
        maximum, minimum = drawn["scaling"]
        endpoint.default_variant.auto_scale_instance_count(max_capacity=maximum, min_capacity=minimum)
    elif drawn["scaling"] is not None:
        endpoint.default_variant.auto_scale_instance_count(max_capacity=drawn["scaling"])


def check_requests(resources: dict[str, Any]) -> None:
    """Check the calls that CloudFormation would make of the resources."""
    for logical_id, resource in resources.items():
        service, _, kind = resource["Type"].removeprefix("AWS::").partition("::")
        if service != "SageMaker":
            continue
        request = resolve(resource["Properties"])
        request.setdefault(f"{kind}Name", logical_id[:63])
        check_request("sagemaker", f"Create{kind}", request)


def resolve(value: Any, key: str = "") -> Any:
    """The properties with stand-ins for what only CloudFormation knows."""
    if isinstance(value, list):
        return [resolve(item, key) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::Join"}:
        separator, parts = value["Fn::Join"]
        return separator.join(resolve(part, key) for part in parts)
    if len(value) == 1 and (set(value) & {"Ref", "Fn::GetAtt"}):
        return STAND_INS.get(key, "stand-in")
    return {name: resolve(item, name) for name, item in value.items()}
