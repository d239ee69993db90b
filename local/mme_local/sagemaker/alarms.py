"""The rollback alarms as CloudWatch describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import boto3
from botocore.config import Config


class CloudWatchAlarms:
    """Asks CloudWatch, which this very process answers for, from a thread.

    Args:
        endpoint_url: Where CloudWatch is.
        role_credentials: Access key, secret and token of the execution role's session, where policies are enforced;
            the account itself asks when left out.
    """

    def __init__(
        self, endpoint_url: str, role_credentials: Callable[[str], tuple[str, str, str]] | None = None
    ) -> None:
        self._endpoint_url = endpoint_url
        self._role_credentials = role_credentials

    async def states(self, region: str, account: str, role: str | None, names: Sequence[str]) -> Mapping[str, str]:
        """The states of those alarms that exist, by name; whatever goes wrong is raised."""
        return await asyncio.to_thread(self._states, region, account, role, names)

    def _states(self, region: str, account: str, role: str | None, names: Sequence[str]) -> Mapping[str, str]:
        credentials: tuple[str, str, str | None] = (account, "local", None)
        if self._role_credentials is not None and role is not None:
            credentials = self._role_credentials(role)
        access_key, secret, token = credentials
        # a session of its own: the default one is not safe to share between threads
        client = boto3.session.Session().client(
            "cloudwatch",
            endpoint_url=self._endpoint_url,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}),
        )
        found = client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        return {
            alarm["AlarmName"]: alarm["StateValue"] for alarm in (*found["MetricAlarms"], *found["CompositeAlarms"])
        }
