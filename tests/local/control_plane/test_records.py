"""The one table of the kinds of resources, which CloudFormation, tags and permissions read."""

from __future__ import annotations

import pytest

from mme_local.aws.scope import Scope
from mme_local.aws.shapes import service_model
from mme_local.sagemaker.cloudformation import TYPES
from mme_local.sagemaker.permissions import needed
from mme_local.sagemaker.records import RECORD_TYPES, Record, Region

SCOPE = Scope("000000000000", "us-east-1")


class Unheard(Record):
    kind = "unheard"
    noun = "unheard-of resource"
    api = "Unheard"


def test_a_kind_that_nothing_is_kept_of_is_no_endpoint() -> None:
    with pytest.raises(KeyError):
        Region(SCOPE).shelf(Unheard)


@pytest.mark.parametrize("record_type", RECORD_TYPES)
def test_each_kind_is_whole(record_type: type[Record]) -> None:
    operations = service_model("sagemaker").operation_names
    assert [kind.name for kind in TYPES].count(f"AWS::SageMaker::{record_type.api}") == 1
    assert {f"{verb}{record_type.api}" for verb in ("Create", "Describe", "Delete")} <= set(operations)
    assert (f"Update{record_type.api}" in operations) == record_type.updatable
    assert not list(Region(SCOPE).shelf(record_type))
    (permission,) = needed(SCOPE, f"Describe{record_type.api}", {record_type.name_member(): "Demo"})
    assert permission.resource == f"arn:aws:sagemaker:us-east-1:000000000000:{record_type.kind}/demo"
