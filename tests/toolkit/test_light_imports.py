"""What importing the toolkit's parts brings with it: a Lambda function waits for that at each cold start."""

from __future__ import annotations

import subprocess
import sys

import pytest

import multi_model_endpoint


def imported_with(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_package_itself_brings_nothing() -> None:
    assert not imported_with("multi_model_endpoint") & {"boto3", "botocore", "click", "isal", "rich"}


def test_the_client_brings_boto3_alone() -> None:
    assert not imported_with("multi_model_endpoint.calling") & {"click", "isal", "platformdirs", "rich"}


def test_exports_these_names() -> None:
    assert multi_model_endpoint.__all__ == ["Answer", "MultiModelClient"]
    assert multi_model_endpoint.MultiModelClient.__name__ == "MultiModelClient"
    assert multi_model_endpoint.Answer.__name__ == "Answer"


def test_has_no_others() -> None:
    with pytest.raises(AttributeError, match="module 'multi_model_endpoint' has no attribute 'Client'"):
        multi_model_endpoint.Client  # noqa: B018
