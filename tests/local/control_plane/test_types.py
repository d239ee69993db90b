"""Each CloudFormation type of SageMaker's is whole: what stacks make, the API describes, lists, tags and deletes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mme_local.sagemaker.cloudformation import TYPES

NOUNS = [kind.name.rpartition("::")[2] for kind in TYPES]


@pytest.mark.parametrize("noun", NOUNS)
def test_it_can_be_described_and_deleted(control_plane: Any, noun: str) -> None:
    client = control_plane.client("sagemaker")
    for verb in ("describe", "delete"):
        with pytest.raises(ClientError, match="Could not find"):
            getattr(client, f"{verb}_{snake(noun)}")(**{f"{noun}Name": "nothing"})


@pytest.mark.parametrize("noun", NOUNS)
def test_it_can_be_listed(control_plane: Any, noun: str) -> None:
    assert f"{noun}s" in getattr(control_plane.client("sagemaker"), f"list_{snake(noun)}s")()


@pytest.mark.parametrize("noun", NOUNS)
def test_it_can_be_tagged(control_plane: Any, noun: str) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:{snake(noun).replace('_', '-')}/nothing"
    with pytest.raises(ClientError, match="Could not find"):
        control_plane.client("sagemaker").add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "a"}])


def snake(noun: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", noun).lower()
