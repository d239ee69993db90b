"""Script mode: code that the containers of AWS's scikit-learn and XGBoost images import when they start.

https://github.com/aws/sagemaker-scikit-learn-container/issues/82
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from constructs import Construct

from cdk_multi_model_endpoint._models.asset import packed_asset, packed_in_assembly
from cdk_multi_model_endpoint._models.served import PROGRAM
from cdk_multi_model_endpoint._rules.errors import InvalidEndpointError
from multi_model_endpoint.artifacts import InvalidModelError
from multi_model_endpoint.artifacts.findings import Problem

from .containers import MultiModelContainer, PipelineContainer

SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"


def script_problems(container: MultiModelContainer | PipelineContainer, network_isolation: bool) -> Iterator[Problem]:
    """Why a container would not find its code."""
    source, entry_point = None, None
    if isinstance(container, MultiModelContainer):
        source, entry_point = container.source_directory, container.entry_point
    family = container.image.family
    given = [name for name in (PROGRAM, SUBMIT_DIRECTORY) if container.environment.get(name)]
    if (source is None) != (entry_point is None):
        yield Problem(
            "sourceWithoutEntryPoint",
            f"source_directory and entry_point must be given together, got {source!r} and {entry_point!r}",
        )
    elif source is not None and entry_point is not None:
        if given:
            yield Problem(
                "scriptVariableConflict",
                f"environment must not set {' and '.join(given)} with source_directory, which does",
            )
        if not Path(source).is_dir():
            yield Problem("sourceNotFound", f"source_directory must be a folder, got {str(source)!r}")
        elif "/" in entry_point or not entry_point.endswith(".py") or not Path(source, entry_point).is_file():
            yield Problem(
                "sourceNotFound",
                f"entry_point must be a .py file right in source_directory {str(source)!r}, got {entry_point!r}",
            )
    elif len(given) < 2 and (family == "sklearn" or (family == "xgboost" and PROGRAM in given)):
        way_out = f"set {PROGRAM} and {SUBMIT_DIRECTORY} in its environment"
        if isinstance(container, MultiModelContainer):
            way_out = f"give its code by source_directory and entry_point, or {way_out}"
        when = "" if family == "sklearn" else f" with {PROGRAM}"
        yield Problem(
            "scriptMissing",
            f"image is of {family}, which{when} imports a program when it starts and dies without one: {way_out}",
        )
    if network_isolation and (source is not None or _is_in_s3(container.environment)):
        yield Problem(
            "codeUnderNetworkIsolation",
            "network_isolation must be False for a container that downloads its code from S3, source_directory: put "
            f"the code into an image of your own, and its folder there into {SUBMIT_DIRECTORY}",
        )


def upload_code(scope: Construct, construct_id: str, container: MultiModelContainer) -> str | None:
    """Have a container's code uploaded before the deployment; its ``s3://`` URL, or None where it has none."""
    if container.source_directory is None:
        return None
    (packed,) = packed_in_assembly(scope, {"code": container.source_directory}).values()
    if isinstance(packed, InvalidModelError):
        raise InvalidEndpointError(scope.node.path, [problem.of("source_directory") for problem in packed.problems])
    asset = packed_asset(Construct(scope, construct_id), packed)
    return f"s3://{asset.s3_bucket_name}/{asset.s3_object_key}"


def script_environment(container: MultiModelContainer, code_url: str | None) -> Mapping[str, str]:
    """A container's variables, with where its code is."""
    if code_url is None or container.entry_point is None:
        return {**container.environment}  # jsii takes no other mapping
    return {**container.environment, SUBMIT_DIRECTORY: code_url, PROGRAM: container.entry_point}


def _is_in_s3(environment: Mapping[str, str]) -> bool:
    return bool(environment.get(PROGRAM)) and str(environment.get(SUBMIT_DIRECTORY)).startswith("s3://")
