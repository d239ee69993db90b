"""A family of images in the table is known everywhere, or it is said here where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from cdk_multi_model_endpoint import InferenceImage, InvalidEndpointError
from cdk_multi_model_endpoint._rules.tables import Architecture, aws_images
from multi_model_endpoint.artifacts import ModelServer, check_layout, inspect
from multi_model_endpoint.publishing.command import FRAMEWORKS

FAMILIES = {image.family for image in aws_images()}
UNCHECKED = {
    "djl-lmi": "loads whatever its serving.properties says",
    "huggingface-pytorch": "loads from the Hugging Face Hub, too",
    "huggingface-tensorflow": "loads from the Hugging Face Hub, too",
    "knn": "AWS says nothing of its artifacts",
    "linear-learner": "AWS says nothing of its artifacts",
    "mxnet": "its script says what it loads",
    "randomcutforest": "AWS says nothing of its artifacts",
}
"""The families whose models' layouts are not checked, and why."""
DEEP_LEARNING = {"djl-lmi", "huggingface-pytorch", "huggingface-tensorflow", "mxnet", "pytorch", "tensorflow"}
"""The families that ``from_dlc`` takes; Triton has a way in of its own."""


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_layouts_are_checked_or_it_is_said_why_not(tmp_path: Path, family: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text("\n")
    (tmp_path / "notes.txt").write_text("\n")
    contents = inspect(tmp_path)[1]
    found = [check_layout(contents, ModelServer(family, program)) for program in ("inference.py", "other.py")]
    checked = any(findings.problems or findings.warnings for findings in found)
    assert checked != (family in UNCHECKED)


def test_nothing_is_said_of_families_that_are_not_there() -> None:
    assert UNCHECKED.keys() | DEEP_LEARNING <= FAMILIES


def test_push_checks_the_layouts_that_the_library_checks() -> None:
    assert {*FRAMEWORKS.values()} == FAMILIES - UNCHECKED.keys()


@pytest.mark.parametrize("family", sorted(FAMILIES - DEEP_LEARNING - {"sagemaker-tritonserver"}))
def test_built_in_takes_it_and_says_so(root: Path, family: str) -> None:
    newest = next(image for image in aws_images() if image.family == family)
    assert newest.architecture in get_args(Architecture)
    image = InferenceImage.built_in(family, newest.version, architecture=newest.architecture)
    assert image.family == family
    assert f"``{family}``" in str(InferenceImage.built_in.__doc__)
    page = (root / "docs" / "guides" / "images.md").read_text()
    assert f"`{family}`" in page or f'"{family}"' in page


@pytest.mark.parametrize("family", sorted(DEEP_LEARNING))
def test_built_in_refuses_the_others_and_says_where_they_are(family: str) -> None:
    with pytest.raises(InvalidEndpointError, match=r"use InferenceImage\.from_dlc"):
        InferenceImage.built_in(family, "1.0")
