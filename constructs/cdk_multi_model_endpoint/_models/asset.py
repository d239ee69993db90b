"""A packed file in the cloud assembly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from multi_model_endpoint.artifacts import Artifact, InvalidModelError, each, stored


def packed_in_assembly(
    scope: Construct, models: Mapping[str, str | os.PathLike[str]]
) -> dict[str, Artifact | InvalidModelError]:
    """Pack what the cloud assembly does not hold yet, by name: there, so that the CDK need not copy it."""
    folder = Path(cast(cdk.Stage, cdk.Stage.of(scope)).asset_outdir)
    paths = {name: Path(path) for name, path in models.items()}
    return each("packing models", paths, lambda path, step: stored(path, folder, _staged_name, step))


def packed_asset(scope: Construct, artifact: Artifact) -> s3_assets.Asset:
    """Make an asset of a packed file."""
    return s3_assets.Asset(
        scope,
        "Asset",
        path=str(artifact.path),
        asset_hash=artifact.digest,
        asset_hash_type=cdk.AssetHashType.CUSTOM,
    )


def _staged_name(digest: str) -> str:
    """What the CDK calls an asset of this hash in the assembly. Were it to change, it would copy the file."""
    return f"asset.{hashlib.sha256(digest.encode()).hexdigest()}.tar.gz"
