"""The app's template, and what each variant answers."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from mme_local.testing import LocalEndpoint

MODELS = Path(__file__).parent / "models"
NAME = "churn-1.tar.gz"


def archive(model: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(model / "xgboost-model", "xgboost-model")
    return packed.getvalue()


@pytest.fixture(scope="module")
def published(aws: LocalEndpoint, outputs: dict[str, str]) -> None:
    """A model for each variant, of one name."""
    for variant in ("champion", "challenger"):
        bucket, _, prefix = outputs[f"{variant.title()}sUrl"].removeprefix("s3://").partition("/")
        aws.client("s3").put_object(Bucket=bucket, Key=prefix + NAME, Body=archive(MODELS / variant))


def test_template_is_unchanged(template: Any, snapshot_json: SnapshotAssertion) -> None:
    assert template == snapshot_json


@pytest.mark.parametrize(("variant", "leaves"), [("Champion", 0.965), ("Challenger", 0.795)])
def test_each_variant_answers_by_its_own_model(
    published: None, call: Callable[..., bytes], variant: str, leaves: float
) -> None:
    assert json.loads(call(NAME, "3,95.5,5", TargetVariant=variant)) == [pytest.approx(leaves, abs=0.001)]


def test_who_names_no_variant_is_answered_by_either(published: None, call: Callable[..., bytes]) -> None:
    (leaves,) = json.loads(call(NAME, "3,95.5,5"))
    assert round(leaves, 3) in (0.965, 0.795)
