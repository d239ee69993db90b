"""``mme_local.testing`` as users' tests have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mme_local.testing import local_endpoint

CONFTEST = """
import pytest

pytest_plugins = ["mme_local.testing.fixtures"]


@pytest.fixture(scope="session")
def local_aws_options():
    return ["--no-servers"]
"""
TESTS = """
import os
import subprocess
import sys


def test_has_nothing_at_first(local_aws):
    assert local_aws.client("s3").list_buckets()["Buckets"] == []


def test_points_others_at_it(local_aws):
    code = "import boto3; boto3.client('s3').create_bucket(Bucket='mine')"
    subprocess.run([sys.executable, "-c", code], env=os.environ | local_aws.environment, check=True)
    assert [bucket["Name"] for bucket in local_aws.client("s3").list_buckets()["Buckets"]] == ["mine"]
"""


def test_fixtures_serve_a_project_of_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout


def test_it_is_gone_after_the_block() -> None:
    with local_endpoint("--no-servers") as aws:
        assert aws.client("sts").get_caller_identity()["Account"] == "000000000000"
    assert aws.process.returncode == 0
    assert not aws.log.exists()


def test_modules_of_the_users_project_are_not_taken_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('the project was imported')")
    with local_endpoint("--no-servers", cwd=tmp_path) as aws:
        assert aws.client("s3").list_buckets()["Buckets"] == []


def test_one_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="No such option"), local_endpoint("--nonsense"):
        pass
