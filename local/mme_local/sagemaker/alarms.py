"""The rollback alarms as CloudWatch describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import boto3
from botocore.config import Config

from mme_local.sagemaker.records import Scope


class CloudWatchAlarms:
    """Asks CloudWatch, which this very process answers for, from a thread.

    Args:
        endpoint_url: Where CloudWatch is.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url

    async def states(self, scope: Scope, names: Sequence[str]) -> Mapping[str, str]:
        """The states of those alarms that exist, by name; whatever goes wrong is raised."""
        return await asyncio.to_thread(self._states, scope, names)

    def _states(self, scope: Scope, names: Sequence[str]) -> Mapping[str, str]:
        # a session of its own: the default one is not safe to share between threads
        client = boto3.session.Session().client(
            "cloudwatch",
            endpoint_url=self._endpoint_url,
            region_name=scope.region,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}),
        )
        found = client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        return {
            alarm["AlarmName"]: alarm["StateValue"] for alarm in (*found["MetricAlarms"], *found["CompositeAlarms"])
        }
