"""What is said of an estimate."""

from __future__ import annotations

import pytest

from multi_model_endpoint.sizing.report import digits


@pytest.mark.parametrize(
    ("value", "said"), [(12345, "12300"), (778.4, "778"), (1.5, "1.5"), (0, "0"), (0.0000422, "0.0000422")]
)
def test_figures_can_be_pasted_and_read(value: float, said: str) -> None:
    assert digits(value) == said
