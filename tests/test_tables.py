"""What adding one of a kind has to touch: tables in different packages that know the same things."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mme_local.platform.metrics import UNITS, VariantMetrics
from mme_local.sagemaker import rules
from multi_model_endpoint.instances import InstanceType, instance_types


def families(has: Callable[[InstanceType], bool]) -> set[str]:
    return {name.split(".")[1] for name, instance_type in instance_types().items() if has(instance_type)}


def test_the_local_endpoint_refuses_the_accelerators_that_the_library_refuses() -> None:
    assert families(lambda known: known.multi_model == "accelerator-unsupported") == rules.ACCELERATOR_FAMILIES


def test_the_local_endpoint_refuses_keys_where_the_library_does() -> None:
    assert families(lambda known: known.local_storage) == rules.NVME_FAMILIES


def test_a_metric_without_a_unit_is_not_counted() -> None:
    metrics = VariantMetrics("demo", "primary")
    with pytest.raises(KeyError, match="enter the metric into UNITS"):
        metrics.add("Forgotten", 1)
    with pytest.raises(KeyError, match="enter the metric into UNITS"):
        metrics.gauge("Forgotten", 1)
    for name in UNITS:
        metrics.add(name, 1)
