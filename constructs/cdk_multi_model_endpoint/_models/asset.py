"""A packed file on its way into the cloud assembly."""

from __future__ import annotations

import shutil
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from multi_model_endpoint.artifacts import Artifact

_STAGING_DISABLED = "aws:cdk:disable-asset-staging"


def packed_asset(scope: Construct, artifact: Artifact) -> s3_assets.Asset:
    """Make an asset of a packed file, which may be gone afterwards."""
    return s3_assets.Asset(
        scope,
        "Asset",
        path=str(_kept(scope, artifact)),
        asset_hash=artifact.digest,
        asset_hash_type=cdk.AssetHashType.CUSTOM,
    )


def _kept(scope: Construct, artifact: Artifact) -> Path:
    """With ``cdk synth --no-staging`` the CDK takes no copy, but names the file where it lies."""
    stage = cdk.Stage.of(scope)
    if stage is None or not scope.node.try_get_context(_STAGING_DISABLED):
        return artifact.path
    return Path(shutil.copyfile(artifact.path, Path(stage.asset_outdir, f"model.{artifact.digest}.tar.gz")))
