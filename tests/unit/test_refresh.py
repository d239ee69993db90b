"""What the tables take from AWS's list of Deep Learning Containers."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from scripts.deep_learning_containers import Listed, Listing, kept, read
from scripts.image_table import listed
from scripts.refresh_tables import DATA, INSTANCES
from scripts.refresh_triton_config import TABLE

LISTING = Listing(
    "here",
    (
        Listed("pytorch-inference", "2.6", "cpu", ("2.6.0-cpu-py312-sagemaker", "2.6-cpu-py312"), "2026-06-30"),
        Listed("sagemaker-xgboost", "3.2-0", "cpu", ("3.2-0",), "2027-05-13"),
        Listed("sagemaker-tritonserver", "26.04", "gpu", ("26.04-py3",)),
    ),
    {"pytorch": {"2.5": "2025-10-29", "1.13": "2024-10-28"}},
)


def test_the_tables_are_written_where_the_packages_read_them() -> None:
    rules, artifacts = files("cdk_multi_model_endpoint._rules"), files("multi_model_endpoint.artifacts")
    assert [rules.joinpath("_data", "images.json")] == [*DATA.iterdir()]
    assert [files("multi_model_endpoint.instances").joinpath("_data", "instance_types.json")] == [*INSTANCES.iterdir()]
    assert artifacts.joinpath("_data", "triton_model_config.json") == TABLE


def test_the_mutated_files_are_there(root: Path) -> None:
    settings = tomllib.loads((root / "tests" / "mutation.toml").read_text())["cosmic-ray"]
    assert all((root / path).is_file() for path in settings["module-path"])


@pytest.mark.parametrize(
    ("family", "repository", "version", "gpu", "end"),
    [
        ("pytorch", "pytorch-inference", "2.6.0", False, "2026-06-30"),
        ("pytorch", "pytorch-inference", "2.60.0", False, None),
        ("pytorch", "pytorch-inference", "2.6.0", True, None),
        ("pytorch", "pytorch-inference-graviton", "2.5.1", False, "2025-10-29"),
        ("pytorch", "pytorch-inference", "2.4.0", False, "2025-10-29"),
        ("pytorch", "pytorch-inference", "1.4.0", True, "2024-10-28"),
        ("xgboost", "sagemaker-xgboost", "3.2-0", False, "2027-05-13"),
        ("xgboost", "sagemaker-xgboost", "3.4-0", False, None),
        ("xgboost", "sagemaker-xgboost", "1.7-1", False, "2025-03-06"),
        ("xgboost", "sagemaker-xgboost", "1.2-1", False, "2021-07-19"),
        ("xgboost", "sagemaker-xgboost", "0.90-2", False, "2021-07-19"),
        ("sklearn", "sagemaker-scikit-learn", "0.20.0", False, "2021-06-02"),
        ("huggingface-pytorch", "huggingface-pytorch-inference", "5.5.3/pytorch2.6.0", False, "2026-06-30"),
        ("huggingface-pytorch", "huggingface-pytorch-inference", "4.37.0/pytorch2.1.0", True, "2025-10-29"),
        ("knn", "knn", "1", False, None),
        ("sagemaker-tritonserver", "sagemaker-tritonserver", "26.04", True, None),
    ],
)
def test_an_end_of_patch_is_that_of_the_version_or_of_the_next_newer_one_that_is_past_it(
    family: str, repository: str, version: str, gpu: bool, end: str | None
) -> None:
    assert LISTING.end_of_patch(family, repository, version, gpu=gpu) == end


def test_adds_the_tags_that_the_sdk_does_not_have() -> None:
    known = {("pytorch-inference", "2.6.0-cpu-py312"), ("sagemaker-xgboost", "3.2-0-cpu")}
    assert [(image.family, image.tag, image.gpu) for image in listed(LISTING, known)] == [
        ("sagemaker-tritonserver", "26.04-py3", True),
        ("pytorch", "2.6-cpu-py312", False),
    ]


def test_reads_a_checkout(tmp_path: Path) -> None:
    data = tmp_path / "docs" / "src" / "data" / "pytorch-inference"
    data.mkdir(parents=True)
    (data / "2.6-cpu-ec2.yml").write_text("version: '2.6'\nplatform: ec2\n")
    (data / "2.6-cpu-sagemaker.yml").write_text(
        "version: '2.6'\naccelerator: cpu\nplatform: sagemaker\ntags:\n  - a\n  - b\neop: '2026-06-30'\n"
    )
    (data / "2.5-gpu-sagemaker.yml").write_text("version: '2.5'\naccelerator: gpu\nplatform: sagemaker\ntag: c\n")
    legacy = tmp_path / "docs" / "src" / "legacy"
    legacy.mkdir()
    (legacy / "legacy_support.yml").write_text(
        "pytorch:\n  - version: '2.4'\n    ga: x\n    eop: '2025-07-24'\nvllm: []\n"
    )
    found = read(tmp_path)
    assert found["images"] == [
        {"repository": "pytorch-inference", "version": "2.5", "accelerator": "gpu", "tags": ["c"]},
        {
            "repository": "pytorch-inference",
            "version": "2.6",
            "accelerator": "cpu",
            "tags": ["a", "b"],
            "eop": "2026-06-30",
        },
    ]
    assert found["legacy"] == {"pytorch": {"2.4": "2025-07-24"}}


def test_what_is_kept_can_be_read() -> None:
    assert {image.repository for image in kept().images} > {"sagemaker-xgboost", "sagemaker-tritonserver"}
