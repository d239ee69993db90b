"""What docs/troubleshooting.md quotes is what is said: by this project, by the CDK's CLI and by botocore."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import botocore.exceptions
import pytest

OURS = (
    "The access key is none of this endpoint's.",
    "Requests to mme-local are signed with the credentials that it printed when it started",
    "the AWS SDK for JavaScript was not found: uploads by add_model will fail",
    "there is no alias",
    "set it, or name a target model of the store, which ends in '.tar.gz'",
    "must not be burstable for autoscaling",
    "is missing a target model header",
    "is not a multi-model endpoint and does not support target model header",
    "MultiModel mode is not supported for instance type",
    "must be deregistered as a scalable target with AWS Auto Scaling",
    "did not pass the ping health check",
    "Your invocation timed out while waiting for a response from container",
    "Failed to extract model data archive",
)
"""Of the library and the local endpoint, which says what SageMaker says in SageMaker's words."""

OF_THE_CLI = (
    "Has the environment been bootstrapped? Please run 'cdk bootstrap'",
    "Unable to resolve AWS account to use",
    "Cloud assembly schema version mismatch",
    "This CDK CLI is not compatible with the CDK library used by your application.",
)


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "troubleshooting.md").read_text()


@pytest.fixture(scope="module")
def quoted(page: str) -> str:
    """The page without its line breaks, which may be within a quote."""
    return " ".join(page.split())


@pytest.fixture(scope="module")
def texts(root: Path) -> str:
    """Every text in the code of the three packages, where one that goes over several lines is one."""
    files = [file for package in ("constructs", "toolkit", "local") for file in (root / package).rglob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_each_symptom_has_its_cause_and_a_way_out(page: str) -> None:
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    assert len(sections) >= 25
    assert [text.partition("\n")[0] for text in sections if "**Why:**" not in text or "**Way out:**" not in text] == []


def test_most_symptoms_have_a_thread_or_a_page_that_tells_of_them(page: str) -> None:
    before_ours, ours, _ = page.partition("## The local endpoint")
    assert ours
    sections = re.split(r"^### ", before_ours, flags=re.MULTILINE)[1:]
    assert [text.partition("\n")[0] for text in sections if "](" not in text] == []
    assert sum("https://" in text for text in sections) >= 25


@pytest.mark.parametrize("words", OURS)
def test_quotes_what_this_project_says(quoted: str, texts: str, words: str) -> None:
    assert words in quoted
    assert words in texts


@pytest.mark.parametrize("words", OF_THE_CLI)
def test_quotes_what_the_cli_of_the_cdk_says(root: Path, quoted: str, words: str) -> None:
    assert words in quoted
    assert words in (root / "node_modules" / "aws-cdk" / "lib" / "index.js").read_text()


def test_quotes_what_botocore_says(quoted: str) -> None:
    assert botocore.exceptions.NoCredentialsError.fmt in quoted
    for error in (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ReadTimeoutError):
        assert error.fmt.partition(":")[0] in quoted


def test_warnings_that_it_names_exist(page: str, texts: str) -> None:
    ids = set(re.findall(r"`(?:cdk-multi-model-endpoint:)?([a-z]+[A-Z]\w+)`", page))
    assert ids
    assert ids <= set(texts.split("\n"))
