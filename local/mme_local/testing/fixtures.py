"""Fixtures of pytest: put ``pytest_plugins = ["mme_local.testing.fixtures"]`` into your ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mme_local.testing import LocalEndpoint, local_endpoint


@pytest.fixture(scope="session")
def local_aws_options() -> Sequence[str]:
    """The options of ``mme serve``; override it for others than none."""
    return ()


@pytest.fixture(scope="session")
def local_aws(local_aws_options: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEndpoint]:
    """A local endpoint that all tests of a session share, empty at its beginning."""
    log = tmp_path_factory.mktemp("local-aws") / "log.txt"
    with local_endpoint(*local_aws_options, log=log) as running:
        yield running
