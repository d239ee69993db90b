"""How many requests ``mme push`` makes for many models: counted, not timed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from multi_model_endpoint.publishing import push

MODELS = 1001


@pytest.fixture
def requests(control_plane: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The requests to S3 by their operation, retries included."""
    for name, value in {**control_plane.environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    counted: Counter[str] = Counter()

    def count(event_name: str, **_: Any) -> None:
        counted[event_name.rpartition(".")[2]] += 1

    session = boto3.Session()
    session.events.register("before-send.s3", count)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return counted


def test_a_push_lists_a_page_for_a_thousand_objects_and_puts_each_model_once(
    control_plane: Any, requests: Counter[str], tmp_path: Path
) -> None:
    control_plane.client("s3").create_bucket(Bucket="requests-of-many")
    models = tmp_path / "models"

    def run(first: int, last: int) -> Counter[str]:
        for number in range(first, last):
            (models / f"model-{number}").mkdir(parents=True)
            (models / f"model-{number}" / "weights.bin").write_text(str(number))
        requests.clear()
        result = CliRunner().invoke(push, ["--each", str(models), "s3://requests-of-many/models/"])
        assert result.exit_code == 0, result.output
        return requests

    assert run(0, MODELS) == {"ListObjectsV2": 1, "PutObject": MODELS}
    assert run(MODELS, MODELS + 1) == {"ListObjectsV2": 2, "PutObject": 1}
