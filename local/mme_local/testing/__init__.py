"""The local endpoint in tests of your own.

Example:
    ```python
    with local_endpoint() as aws:
        deploy = ["cdk", "deploy", "--all", "--require-approval", "never"]
        subprocess.run(["cdk", "bootstrap"], env=os.environ | aws.environment, check=True)
        subprocess.run(deploy, env=os.environ | aws.environment, check=True)
        aws.client("sagemaker-runtime").invoke_endpoint(EndpointName=…, TargetModel=…, Body=…)
    ```

``mme_local.testing.fixtures`` has the same as pytest fixtures.
"""

from __future__ import annotations

import select
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

__all__ = ["LocalEndpoint", "local_endpoint", "start"]

_START_SECONDS = 120
_STOP_SECONDS = 30


@dataclass(frozen=True)
class LocalEndpoint:
    """A running ``mme serve``.

    Attributes:
        process: The process.
        environment: The variables that point AWS clients and the CDK CLI at it, for ``subprocess.run(env=…)``.
        log: The file that its log goes to.
    """

    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    log: Path

    @property
    def url(self) -> str:
        """What to give to clients as ``endpoint_url``."""
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self.url.rpartition(":")[2])

    def client(self, service: str, *, region: str | None = None, **config: Any) -> Any:
        """A boto3 client for it, which tries each call once.

        Args:
            service: Such as ``sagemaker-runtime``.
            region: Left out, the region that it calls its own.
            config: Options of ``botocore.config.Config``.
        """
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]  # the stubs know services by literal names
            endpoint_url=self.url,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=region or self.environment["AWS_REGION"],
            config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
        )

    def stop(self) -> None:
        """End it and its model servers, and wait for that.

        Raises:
            subprocess.TimeoutExpired: If it does not end within 30 seconds; then it is killed, its model servers end
                with it, and the next start removes its working folder.
        """
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def start(*options: str, log: Path, **settings: Any) -> LocalEndpoint:
    """Start one that its caller stops; it also ends with the process that started it.

    Args:
        options: Those of ``mme serve``, such as ``--no-servers``. The port is a free one.
        log: The file that its log goes to.
        settings: Arguments of ``subprocess.Popen``, such as ``cwd``.

    Raises:
        RuntimeError: If it does not start; with its log.
    """
    command = [sys.executable, "-P", "-m", "mme_local", "--port", "0", "--exit-with-parent", *options]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, **settings)  # noqa: S603
    assert process.stdout is not None
    with process.stdout as output:
        ready, _, _ = select.select([output], [], [], _START_SECONDS)
        line = output.readline() if ready else ""
    if not line.startswith("export "):
        process.kill()
        process.wait()
        raise RuntimeError(f"the local endpoint did not start:\n{log.read_text()}")
    return LocalEndpoint(process, dict(each.split("=", 1) for each in shlex.split(line)[1:]), log)


@contextmanager
def local_endpoint(*options: str, log: Path | None = None, **settings: Any) -> Iterator[LocalEndpoint]:
    """Run one inside a ``with`` block.

    Args:
        options: As for ``start``.
        log: As for ``start``. Left out, a temporary file.
        settings: As for ``start``.

    Raises:
        RuntimeError: As for ``start``.
    """
    with tempfile.TemporaryDirectory(prefix="mme-log-") as folder:
        running = start(*options, log=Path(folder, "log.txt") if log is None else log, **settings)
        try:
            yield running
        finally:
            running.stop()
