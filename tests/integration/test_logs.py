"""The log group of an endpoint that ran before it had one of its own, as docs/updates.md says, by the real CDK CLI."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from .conftest import Account
from .logged import GROUP

HERE = Path(__file__).parent
APP = ("--app", f"{sys.executable} {HERE / 'logged.py'}")
WITH_RETENTION = (*APP, "--context", "log_retention=yes")


def test_a_stack_takes_over_the_log_group_that_sagemaker_made(make_account: Callable[[str], Account]) -> None:
    account = make_account("eu-central-1")
    logs = account.client("logs")

    def groups() -> list[int | None]:
        found = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
        return [group.get("retentionInDays") for group in found]

    account.deploy(*APP, cwd=HERE)
    assert groups() == []
    # as SageMaker does with the first output; this local account has no servers
    logs.create_log_group(logGroupName=GROUP)
    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=30)
    account.deploy("--import-existing-resources", *WITH_RETENTION, cwd=HERE)
    assert groups() == [30]
    account.cdk("destroy", "--all", "--force", *WITH_RETENTION, cwd=HERE)
    assert groups() == [30], "left out, log_removal_policy keeps the group"
    logs.delete_log_group(logGroupName=GROUP)
    account.deploy(*WITH_RETENTION, cwd=HERE)
    assert groups() == [30]
