"""A local endpoint that does not end when it is told to."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from mme_local.testing import local_endpoint


def test_is_killed_and_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mme_local.testing._STOP_SECONDS", 0.1)
    with pytest.raises(subprocess.TimeoutExpired), local_endpoint("--no-servers", log=tmp_path / "log.txt") as aws:
        aws.process.send_signal(signal.SIGSTOP)
    assert aws.process.returncode == -signal.SIGKILL
