"""The rollback alarms as CloudWatch describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from mme_local.aws.scope import Scope
from mme_local.hosting import loopback


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
        client = loopback.client("cloudwatch", self._endpoint_url, scope.region, attempts=2)
        found = client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        return {
            alarm["AlarmName"]: alarm["StateValue"] for alarm in (*found["MetricAlarms"], *found["CompositeAlarms"])
        }
