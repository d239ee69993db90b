"""Shared by the tests of the local endpoint's parts, in this process."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def credentials_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``mme serve`` sets them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "1")
