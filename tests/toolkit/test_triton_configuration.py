"""What ``config.pbtxt`` may hold, and which versions of a model it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from multi_model_endpoint.artifacts import ModelServer, check_layout, inspect
from multi_model_endpoint.artifacts.textproto import TextFormatError, parse
from multi_model_endpoint.artifacts.triton_schema import schema_problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a.b]: 1", "line 1: ModelConfig has no extensions, got [a.b]"),
        ("name: []", "line 1: name must be one value, got a list"),
        (
            "version_policy { latest { } all { } }",
            "line 1: all must not be given beside latest",
        ),
        ("input: 1", "line 1: input must be a message in braces, got 1"),
        ("input { data_type: 'FP32' }", "line 1: data_type must be a DataType, got 'FP32'"),
        ("input { data_type: FP32 }", "line 1: data_type must be one of TYPE_INVALID, "),
        (r"name: '\xff'", "line 1: name must be a quoted string, got '�'"),
        ("name: { }", "line 1: name must be a quoted string, got a message"),
        ("max_batch_size: 1.5", "line 1: max_batch_size must be an int32, got 1.5"),
    ],
)
def test_says_what_the_schema_does_not_allow(text: str, problem: str) -> None:
    (found,) = schema_problems(parse(text))
    assert found.message.startswith(problem)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 0x1F", 31),
        ("a: -0x1F", -31),
        ("a: 017", 15),
        (r"a: '\u00e9'", "é".encode()),
        (r"a: '\U0001F600'", "😀".encode()),
        (r"a: '\101\x42'", b"AB"),
    ],
)
def test_reads_a_value_as_it_may_be_written(text: str, value: int | bytes) -> None:
    (field,) = parse(text).fields
    assert field.value == value


@pytest.mark.parametrize("escape", [r"\777", r"\ud800", r"\U00110000"])
def test_refuses_an_escape_of_no_byte_or_character(escape: str) -> None:
    with pytest.raises(TextFormatError, match="unknown escape"):
        parse(f"name: '{escape}'")


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", "3"),
        ("version_policy { }", "3"),
        ("version_policy { all { } }", "123"),
        ("version_policy { latest { } }", "3"),
        ("version_policy { latest { num_versions: 2 } }", "23"),
        ("version_policy { latest { num_versions: 9 } }", "123"),
        ("version_policy { specific { versions: 1 } }", "1"),
    ],
)
def test_versions_that_are_served_must_hold_a_model(tmp_path: Path, policy: str, served: str) -> None:
    (tmp_path / "config.pbtxt").write_text(f'backend: "python" {policy}')
    for version in "123":
        (tmp_path / version).mkdir()
        (tmp_path / version / "notes.txt").write_text("no model\n")
    findings = check_layout(inspect(tmp_path)[1], ModelServer("sagemaker-tritonserver", None))
    missing = [version for version in "123" if any(f"'{version}/model.py'" in each for each in findings.problems)]
    assert missing == [*served], findings.problems
