"""Snapshots are whole templates as JSON, with the hashes of assets masked."""

from __future__ import annotations

import json
import re
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension


@pytest.fixture
def snapshot_json(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def masked(stack: cdk.Stack) -> Any:
    """A stack's template; what depends on the version of the CDK's own assets, not on us, is masked."""
    text = json.dumps(Template.from_stack(stack).to_json())
    return json.loads(re.sub(r"\b[0-9a-f]{64}\.(zip|gz)", r"ASSET.\1", text))
