"""What follows from what was measured; the page about sizing has a command that measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from multi_model_endpoint.command import mme
from multi_model_endpoint.sizing.assumptions import Assumptions
from multi_model_endpoint.sizing.demand import SizedModel
from multi_model_endpoint.sizing.measuring import Measured, NotMeasuredError, concluded, installed, sample
from multi_model_endpoint.traffic import Payload

XGBOOST = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0"


def model(size: int) -> SizedModel:
    return SizedModel(f"m{size}", size, size, path=Path(f"m{size}"))


def memory(models: Sequence[SizedModel], taken: Sequence[int]) -> list[float]:
    found = concluded(Assumptions(), models, [Measured(each, 1.0, 0.0, None) for each in taken])
    return [found.memory_factor, found.overhead]


def test_a_sample_goes_from_the_smallest_to_the_largest() -> None:
    models = [model(size) for size in (5, 1, 4, 2, 3)]
    assert [each.unpacked for each in sample(models, 3)] == [1, 3, 5]
    assert [each.unpacked for each in sample(models, 1)] == [1]
    assert [each.unpacked for each in sample(models, 9)] == [1, 2, 3, 4, 5]


def test_memory_is_a_factor_of_the_size_and_what_each_takes_beside() -> None:
    assert memory([model(10), model(20), model(30)], [120, 140, 160]) == pytest.approx([2, 100])
    assert memory([model(10), model(10)], [110, 130]) == [1, 110]
    assert memory([model(10)], [5]) == [0.5, 0]
    assert memory([model(10), model(30)], [5, 65]) == pytest.approx([1.75, 0])
    assert memory([model(10), model(30)], [65, 5]) == [0, 35]


def test_loads_unloads_and_calls_are_those_that_were_measured() -> None:
    times = [Measured(1, 1.0, 0.1, 0.002), Measured(1, 9.0, 0.9, None), Measured(1, 2.0, 0.2, 0.004)]
    found = concluded(Assumptions(cpu_seconds=7), [model(1)] * 3, times)
    assert (found.load_seconds, found.unload_seconds) == (2, 0.2)
    assert found.load_spread == (0.5, 1, 4.5)
    assert found.cpu_seconds == pytest.approx(0.003)
    assert concluded(Assumptions(cpu_seconds=7), [model(1)], times[1:2]).cpu_seconds == 7


def test_of_many_loads_a_few_tell_how_they_differ() -> None:
    times = [Measured(1, 1 + second, 0, None) for second in range(21)]
    found = concluded(Assumptions(), [model(1)] * 21, times)
    assert [11 * each for each in found.load_spread] == pytest.approx([3, 7, 11, 15, 19])


def test_a_payload_that_the_model_refuses_is_said(root: Path) -> None:
    measure = installed()
    with pytest.raises(NotMeasuredError, match="must answer the payload, got 503"):
        measure(XGBOOST, [root / "stacks" / "models" / "xgboost" / "customer-churn"], [Payload(b"?", "no/such")])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["--measure", "1"], "--measure and --image go together", id="no image"),
        pytest.param(["--measure", "1", "--image", "a/b:1"], "nothing was measured: image 'a/b:1' cannot", id="image"),
    ],
)
def test_what_can_not_be_measured_is_said(root: Path, arguments: list[str], problem: str) -> None:
    models = str(root / "stacks" / "models" / "xgboost")
    result = CliRunner().invoke(mme, ["size", models, "--rps", "1", *arguments])
    assert result.exit_code in {1, 2}
    assert problem in " ".join(result.stderr.split())


def test_who_has_no_local_endpoint_is_told_what_brings_it(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setattr("multi_model_endpoint.sizing.measuring.entry_points", lambda group: ())
    models = str(root / "stacks" / "models" / "xgboost")
    result = CliRunner().invoke(mme, ["size", models, "--rps", "1", "--measure", "1", "--image", XGBOOST])
    assert "pip install 'multi-model-endpoint[local]' brings it" in result.stderr
