"""What ``mme load`` has Locust do, which runs in a process of its own: gevent wants to be there first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from multi_model_endpoint.traffic import Payload, payloads_in

from .outcome import Found

PLAN = "MME_LOAD_PLAN"
"""The environment variable with the plan's file."""

_RESULT = "result.json"


@dataclass(frozen=True)
class Plan:
    """A load test.

    Attributes:
        endpoint: The endpoint's name.
        store: The S3 prefix of its models.
        variant: The production variant.
        weights: Models or aliases, and their shares.
        payload: The file with the payload of all models that have none of their own, if any.
        payloads: The folder with those of single models, if any.
        content_type: Of the payloads; None guesses it by their names.
        p99_ms: The wanted latency.
        errors_percent: The share of calls that may fail.
        start_rps: The first rate.
        max_rps: The highest.
        step_seconds: How long each is measured.
    """

    endpoint: str
    store: str
    variant: str
    weights: dict[str, float]
    payload: str | None
    payloads: str | None
    content_type: str | None
    p99_ms: float
    errors_percent: float
    start_rps: float
    max_rps: float
    step_seconds: float

    def read_payloads(self) -> dict[str, Payload]:
        """The payload of each model.

        Raises:
            ValueError: If one has none, or several.
        """
        folder, default = (path and Path(path) for path in (self.payloads, self.payload))
        return payloads_in(folder or None, self.weights, content_type=self.content_type, default=default or None)

    def run(self, processes: int) -> Found | None:
        """Run Locust, and return what it has found, or None when it was ended before."""
        with TemporaryDirectory(prefix="mme-load-") as folder:
            # in a folder of its own: Locust reads settings from where it is started
            path = Path(folder, "plan.json")
            path.write_text(json.dumps(asdict(self)))
            locustfile = Path(__file__).with_name("locustfile.py")
            command = [sys.executable, "-m", "locust", "--locustfile", str(locustfile), "--headless", "--only-summary"]
            quiet = ["--skip-log-setup", "--exit-code-on-error", "0"]
            workers = ["--processes", str(processes)] if processes > 1 else []
            own = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
            environment = own | {PLAN: str(path)}
            subprocess.run([*command, *quiet, *workers], cwd=folder, env=environment, check=False)  # noqa: S603
            result = path.with_name(_RESULT)
            return cast(Found, json.loads(result.read_text())) if result.exists() else None


def given() -> Plan:
    """The plan of this process."""
    return Plan(**json.loads(Path(os.environ[PLAN]).read_text()))


def save(found: Found) -> None:
    """Hand over what was found."""
    Path(os.environ[PLAN]).with_name(_RESULT).write_text(json.dumps(found))
